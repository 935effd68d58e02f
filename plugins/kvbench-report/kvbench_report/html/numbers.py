"""The main table, and the statistics behind it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from kvbench_report.display import NOTHING, Display
from kvbench_report.figures.style import looks
from kvbench_report.html.blocks import Cell, Heading, Row, Section, Table, Text
from kvbench_report.html.page import colour
from kvbench_report.results import Floats
from kvbench_report.stats import Estimate, differences, estimates
from kvbench_report.subject import Subject

HIDDEN = ("generation_peak_bytes", "decoding_peak_bytes", "encode_s", "decode_s")
ARROWS = {"higher": "\u2191", "lower": "\u2193"}
SAME = "\u2248 BF16"


def main_table(subject: Subject) -> Section:
    """Every method's one number for each column."""
    columns = [name for name in subject.columns if name not in HIDDEN]
    levels = {name: subject.results.level(name) for name in columns}
    displays = {name: subject.display(name) for name in columns}
    rows = [
        _row(subject, row, [
            Cell(str(row + 1), row + 1),
            Cell(subject.families[method.name]),
            *(_cell(displays[name], levels[name][row]) for name in columns),
            _relative(subject, row),
            Cell(f"{method.prompts}", method.prompts, f"{method.failed} failed" if method.failed else ""),
        ])
        for row, method in enumerate(subject.results.methods)
    ]  # fmt: skip
    headings = [
        Heading("#", "the method's number in the figures"),
        Heading("family", numeric=False),
        *(_heading(subject, name) for name in columns),
        Heading("x BF16", "runtime over the BF16 runtime: mean over common prompts"),
        Heading("prompts", "prompts that gave figures"),
    ]
    families = list(dict.fromkeys(subject.families.values()))
    caption = "Means over prompts, peaks the highest of all prompts; a heading sorts."
    return Section(
        "methods", "Methods", [Table(caption, "method", headings, rows, families)]
    )


def _heading(subject: Subject, column: str) -> Heading:
    display = subject.display(column)
    return Heading(
        f"{display.title} {ARROWS[display.better]}", subject.results.columns[column].summary
    )


def _row(subject: Subject, row: int, cells: list[Cell]) -> Row:
    method = subject.results.methods[row].name
    family = subject.families[method]
    return Row(method, cells, family, colour(looks([family])[family].colour))


def _cell(display: Display, value: float, mark: str = "") -> Cell:
    if np.isnan(value):
        return Cell(NOTHING)
    return Cell(display.text(value), float(value), mark)


def _relative(subject: Subject, row: int) -> Cell:
    reference = subject.results.reference
    if reference is None:
        return Cell(NOTHING)
    runtimes: Floats = subject.results.values["runtime_s"]
    ratios = runtimes[row] / runtimes[reference]
    known = ratios[np.isfinite(ratios)]
    return Cell(f"{known.mean():.2f}", float(known.mean())) if known.size else Cell(NOTHING)


def statistics(subject: Subject) -> Section:
    """Means with intervals, differences to the reference paired by prompt."""
    reference = subject.results.reference
    if len(subject.results.prompts) < 2:
        why = "One prompt gives no intervals; generate more with `kvbench run ... --prompts`."
        return Section("statistics", "Statistics", [Text(why)])
    columns = [
        name
        for name in subject.columns
        if name not in HIDDEN and subject.results.columns[name].over_prompts == "mean"
    ]
    tables = [
        Table(
            f"{subject.display(name).title}: {subject.results.columns[name].summary}",
            "method",
            [Heading("mean"), Heading("95 % interval"), Heading("minus BF16"),
             Heading("95 % interval"), Heading("", numeric=False), Heading("prompts")],
            list(_estimated(subject, name, reference)),
        )
        for name in columns
    ]  # fmt: skip
    about = (
        "Means over prompts with 95 % bootstrap intervals; the same prompts are drawn for every "
        "method, so differences to BF16 are paired. A difference whose interval contains 0 is "
        f"marked {SAME}: these prompts do not distinguish the method from BF16. Intervals over few "
        "prompts are rather too narrow, and none is widened for the number of comparisons."
    )
    return Section("statistics", "Statistics", [Text(about), *tables])


def _estimated(subject: Subject, column: str, reference: int | None) -> Iterator[Row]:
    display = subject.display(column)
    levels = estimates(subject.results, column)
    minus = [Estimate(None)] * len(levels)
    if reference is not None:
        minus = differences(subject.results, column, reference)
    for row, (level, difference) in enumerate(zip(levels, minus, strict=True)):
        same = difference.contains_zero and row != reference
        own = row == reference
        yield _row(
            subject,
            row,
            [
                Cell(display.text(level.value), level.value),
                Cell(_interval(display, level), level.low),
                Cell(NOTHING) if own else Cell(display.text(difference.value, signed=True), difference.value),
                Cell(NOTHING) if own else Cell(_interval(display, difference, signed=True), difference.low),
                Cell(SAME if same else ""),
                Cell(str(level.n), level.n),
            ],
        )


def _interval(display: Display, estimate: Estimate, signed: bool = False) -> str:
    if estimate.low is None:
        return NOTHING
    return f"[{display.text(estimate.low, signed)}, {display.text(estimate.high, signed)}]"
