"""The main table, and the statistics behind it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from kvbench_report.display import ARROWS, NOTHING
from kvbench_report.figures.style import looks
from kvbench_report.html.blocks import Cell, Heading, Row, Section, Table, Text
from kvbench_report.html.page import colour
from kvbench_report.stats import Estimate, differences, estimates
from kvbench_report.subject import Subject, is_drift

SAME = "\u2248 BF16"
NO_INTERVALS = "One prompt gives no intervals; `kvbench run ... --prompts 5` adds more to this run."
ABOUT_INTERVALS = (
    "Means over prompts with 95 % bootstrap intervals. The same prompts are drawn for every "
    "method, so differences to BF16 are paired by prompt. Where the interval of the difference "
    f"contains 0 there is the mark {SAME}: these prompts do not distinguish the method from "
    "BF16. Intervals over few prompts are rather too narrow, and none is widened for the number "
    "of comparisons."
)


def method_row(subject: Subject, row: int, cells: Sequence[Cell]) -> Row:
    """A table's line for a method, with its family's colour."""
    name = subject.results.names[row]
    family = subject.families[name]
    return Row(name, cells, family, colour(looks([family])[family].colour))


def column_heading(subject: Subject, column: str) -> Heading:
    """A column's name, unit and direction."""
    display = subject.display(column)
    return Heading(
        f"{display.title}\u00a0{ARROWS[display.better]}", subject.results.columns[column].summary
    )


def column_cell(subject: Subject, column: str, row: int) -> Cell:
    """A method's one number in a column."""
    value = float(subject.results.level(column)[row])
    return Cell(subject.display(column).text(value), None if np.isnan(value) else value)


def main_table(subject: Subject) -> Section:
    """Every method's one number for each column."""
    families = list(dict.fromkeys(subject.families.values()))
    headings = [
        Heading("#", "the method's number in the figures"),
        Heading("family", numeric=False),
        Heading("prompts", "prompts that gave figures"),
    ]
    for column in subject.main_columns:
        headings.append(column_heading(subject, column))
        if column == "runtime_s":
            headings.append(Heading("x\u00a0BF16", "over BF16 on the same prompt, mean"))
    rows = [
        method_row(subject, row, list(_main_cells(subject, row)))
        for row in range(len(subject.results.methods))
    ]
    caption = "Means over prompts; peaks are the highest of all prompts. A heading sorts."
    table = Table(caption, "method", headings, rows, families=families)
    return Section("methods", "Methods", [table])


def _main_cells(subject: Subject, row: int) -> Iterator[Cell]:
    method = subject.results.methods[row]
    yield Cell(str(row + 1), row + 1)
    yield Cell(subject.families[method.name])
    failed = f"{method.failed} failed" if method.failed else ""
    yield Cell(str(method.prompts), method.prompts, failed)
    for column in subject.main_columns:
        yield column_cell(subject, column, row)
        if column == "runtime_s":
            yield _relative(subject, row)


def drift_table(subject: Subject) -> list[Table]:
    """Ends and slopes of the curves over growing prefixes, if there are any."""
    columns = [name for name in subject.columns if is_drift(name)]
    if not columns:
        return []
    rows = [
        method_row(subject, row, [column_cell(subject, name, row) for name in columns])
        for row in range(len(subject.results.methods))
    ]
    headings = [column_heading(subject, name) for name in columns]
    return [Table("Last value and slope of each curve", "method", headings, rows, folded=True)]


def _relative(subject: Subject, row: int) -> Cell:
    reference = subject.results.reference
    if reference is None:
        return Cell(NOTHING)
    runtimes = subject.results.values["runtime_s"]
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = runtimes[row] / runtimes[reference]
    known = ratios[np.isfinite(ratios)]
    return Cell(f"{known.mean():.2f}", float(known.mean())) if known.size else Cell(NOTHING)


def statistics(subject: Subject) -> Section:
    """Means with intervals, and differences to the reference paired by prompt."""
    if len(subject.results.prompts) < 2:
        return Section("statistics", "Statistics", [Text(NO_INTERVALS)])
    columns = [name for name in subject.varying_columns if name in subject.main_columns]
    whole = Table(
        "Mean and 95 % interval",
        "method",
        [column_heading(subject, name) for name in columns],
        [
            method_row(subject, row, cells)
            for row, cells in enumerate(zip(*(_means(subject, c) for c in columns), strict=True))
        ],
    )
    single = [
        Table(
            f"{subject.display(name).title}: differences to BF16",
            "method",
            [
                Heading("mean"),
                Heading("minus BF16, 95 % interval"),
                Heading("", numeric=False),
                Heading("prompts"),
            ],
            list(_differences(subject, name)),
            folded=True,
        )
        for name in subject.varying_columns
        if subject.results.reference is not None
    ]
    return Section("statistics", "Statistics", [Text(ABOUT_INTERVALS), whole, *single])


def _means(subject: Subject, column: str) -> Iterator[Cell]:
    display = subject.display(column)
    pairs = zip(estimates(subject.results, column), _to_reference(subject, column), strict=True)
    for level, difference in pairs:
        yield Cell(display.interval(level), level.value, _mark(difference))


def _differences(subject: Subject, column: str) -> Iterator[Row]:
    display = subject.display(column)
    pairs = zip(estimates(subject.results, column), _to_reference(subject, column), strict=True)
    for row, (level, difference) in enumerate(pairs):
        yield method_row(
            subject,
            row,
            [
                Cell(display.text(level.value), level.value),
                Cell(display.interval(difference, signed=True), difference.value),
                Cell(_mark(difference)),
                Cell(str(level.n), level.n),
            ],
        )


def _to_reference(subject: Subject, column: str) -> list[Estimate]:
    """Differences to the reference; of itself, or without one, there is none."""
    results, reference = subject.results, subject.results.reference
    if reference is None:
        return [Estimate(None)] * len(results.methods)
    found = differences(results, column, reference)
    return [Estimate(None) if row == reference else each for row, each in enumerate(found)]


def _mark(difference: Estimate) -> str:
    return SAME if difference.contains_zero else ""
