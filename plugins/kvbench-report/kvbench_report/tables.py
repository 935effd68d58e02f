"""Tables for papers, the first two in the layout of the published study.

- ``all-methods`` (Tables 4 and 5): every method, from the highest compression down
- ``six-axes`` (Table 2): the methods on a frontier and BF16, on the six axes
- ``statistics``: means and differences to BF16 with 95 % intervals

Each as CSV (unrounded, in bytes and seconds), Markdown and LaTeX (for the package booktabs).
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from attrs import frozen
from tabulate import tabulate

from kvbench_report.axes import (
    DRIFT,
    IMAGING,
    LPIPS,
    PEAK,
    PSNR,
    RATIO,
    RUNTIME,
    SSIM,
    Axis,
    column_for,
)
from kvbench_report.display import ARROWS, NOTHING
from kvbench_report.frontier import FRONTIERS, frontier
from kvbench_report.stats import differences, estimates
from kvbench_report.subject import Subject

ALL_METHODS = (RATIO, PEAK, RUNTIME, IMAGING, SSIM, LPIPS, PSNR, DRIFT)
SIX_AXES = (RATIO, PEAK, RUNTIME, IMAGING, SSIM, DRIFT)
FORMULA = ("=", "+", "-", "@")

Number = float | int | None


@frozen
class PaperTable:
    """Headings and rows, once as numbers and once as they are printed."""

    fields: Sequence[str]
    numbers: Sequence[Sequence[str | Number]]
    headings: Sequence[str]
    texts: Sequence[Sequence[str]]


def paper_tables(subject: Subject) -> dict[str, str]:
    """Every table in every format: text by the file's name."""
    tables = {
        "all-methods": _axes_table(subject, ALL_METHODS, subject.results.names),
        "six-axes": _axes_table(subject, SIX_AXES, _notable(subject)),
        "statistics": _statistics(subject),
    }
    return {
        f"{name}.{ending}": write(table)
        for name, table in tables.items()
        for ending, write in FORMATS.items()
    }


def _notable(subject: Subject) -> list[str]:
    """The reference, and the members of any frontier."""
    members = {member for name in FRONTIERS for member in frontier(subject.results, name).members}
    return [
        method.name
        for method in subject.results.methods
        if method.is_reference or method.name in members
    ]


def _axes_table(subject: Subject, axes: Sequence[Axis], names: Sequence[str]) -> PaperTable:
    """A column for each axis, measured or not, as in the published tables."""
    results = subject.results
    columns = {axis: column_for(results, axis) for axis in axes}
    levels = {c.name: results.level(c.name) for c in columns.values() if c}
    displays = {name: subject.display(name) for name in levels}
    ratios = results.level("compression_ratio")
    rows = sorted(
        (results.row(name) for name in names), key=lambda row: _descending(float(ratios[row]))
    )
    headings = [
        f"{displays[c.name].title} {ARROWS[c.better]}" if c else axis.name
        for axis, c in columns.items()
    ]
    return PaperTable(
        ["method", *(c.name if c else axis.columns[0] for axis, c in columns.items())],
        [
            [results.names[row], *(levels[c.name][row] if c else None for c in columns.values())]
            for row in rows
        ],
        ["method", *headings],
        [
            [
                results.names[row],
                *(
                    displays[c.name].text(levels[c.name][row]) if c else NOTHING
                    for c in columns.values()
                ),
            ]
            for row in rows
        ],
    )


def _descending(ratio: float) -> tuple[bool, float]:
    """From the highest down, what is missing last."""
    return bool(np.isnan(ratio)), -ratio


def _statistics(subject: Subject) -> PaperTable:
    """Every column as numbers; printed is what varies over prompts and fits a page."""
    results, reference = subject.results, subject.results.reference
    fields, headings = ["method"], ["method"]
    numbers: list[list[str | Number]] = [[name] for name in results.names]
    texts = [[name] for name in results.names]
    printed = set(subject.main_columns) & set(subject.varying_columns)
    for name in subject.columns:
        display = subject.display(name)
        parts = {"mean": estimates(results, name)}
        if reference is not None:
            parts["minus_bf16"] = differences(results, name, reference)
        for part, found in parts.items():
            fields += [f"{name}_{part}{end}" for end in ("", "_low", "_high")]
            for row, estimate in enumerate(found):
                numbers[row] += [estimate.value, estimate.low, estimate.high]
            if name in printed:
                headings.append(display.title if part == "mean" else "minus BF16")
                for row, estimate in enumerate(found):
                    texts[row].append(display.interval(estimate, signed=part != "mean"))
    return PaperTable(fields, numbers, headings, texts)


def _csv(table: PaperTable) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(table.fields)
    writer.writerows([_csv_cell(cell) for cell in row] for row in table.numbers)
    return out.getvalue()


def _csv_cell(cell: str | Number) -> str:
    if isinstance(cell, str):
        # A spreadsheet would run a name that looks like a formula.
        return f"'{cell}" if cell.startswith(FORMULA) else cell
    return "" if cell is None or np.isnan(cell) else repr(float(cell))


def _markdown(table: PaperTable) -> str:
    rows = [[re.sub(r"([\\`*<>\[\]|])", r"\\\1", text) for text in row] for row in table.texts]
    return _tabulated(table.headings, rows, "github")


def _latex(table: PaperTable) -> str:
    headings = [heading.rstrip("".join(ARROWS.values())).strip() for heading in table.headings]
    return _tabulated(headings, table.texts, "latex_booktabs")


def _tabulated(headings: Sequence[str], rows: Sequence[Sequence[str]], style: str) -> str:
    align = ["left", *["right"] * (len(headings) - 1)]
    text = tabulate(rows, headings, tablefmt=style, disable_numparse=True, colalign=align)
    return text + "\n"


FORMATS: Mapping[str, Callable[[PaperTable], str]] = {
    "csv": _csv,
    "md": _markdown,
    "tex": _latex,
}
