"""What to take: the recommendations and the four frontiers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from kvbench_report.axes import DRIFT, PEAK, RATIO, RUNTIME, SSIM, Axis, column_for
from kvbench_report.display import NOTHING
from kvbench_report.frontier import FRONTIERS, Frontier
from kvbench_report.gallery.planes import Plane
from kvbench_report.html.blocks import Block, Cell, Heading, Row, Section, Table, Text, cells
from kvbench_report.html.numbers import column_cell, column_heading, method_row
from kvbench_report.limits import quality_gate
from kvbench_report.recommend import PRESETS, Card, cards
from kvbench_report.subject import Subject

FIGURES: tuple[Axis, ...] = (RATIO, PEAK, RUNTIME, SSIM, DRIFT)
PLANES: Mapping[str, tuple[Axis, Axis]] = {
    "balanced": (RATIO, DRIFT),
    "compression": (RATIO, SSIM),
    "systems": (RATIO, PEAK),
    "quality": (RUNTIME, SSIM),
}
"""In which plane the study draws each frontier, ``x`` and ``y``."""
DEFAULT = next(iter(PRESETS))


def recommendation(subject: Subject) -> Section:
    """The five cards of the study's rule, and what each of its presets would recommend."""
    if all(method.is_reference for method in subject.results.methods):
        only = Text("There is no compressed method to recommend.")
        return Section("recommendation", "Recommendation", [only])
    presets = Table(
        "The same rule with another order of what matters",
        "preset",
        [Heading("recommended", numeric=False)],
        [Row(preset, cells(_recommended(subject, preset))) for preset in PRESETS],
    )
    about = (
        "By the published study's rule and tolerances (SSIM drop and LPIPS increase up to 0.05, "
        "drift drop up to 0.02, ratio at least 1.10, of those that were measured). "
        "`kvbench recommend` takes limits of your own and names the reason for each exclusion."
    )
    silent = [Text(f"{line}.") for line in quality_gate(subject.results, {})[1]]
    blocks: list[Block] = [Text(about), *silent, _cards(subject), presets]
    return Section("recommendation", "Recommendation", blocks)


def _recommended(subject: Subject, preset: str) -> str:
    return cards(subject.results, {}, preset)[0].method or NOTHING


def _cards(subject: Subject) -> Table:
    columns = [c.name for axis in FIGURES if (c := column_for(subject.results, axis))]
    headings = [Heading("method", numeric=False)]
    headings += [column_heading(subject, name) for name in columns]
    headings.append(Heading("caution", numeric=False))
    rows = [
        Row(card.title, _card(subject, card, columns))
        for card in cards(subject.results, {}, DEFAULT)
    ]
    return Table(f"Preset {DEFAULT}", "recommendation", headings, rows)


def _card(subject: Subject, card: Card, columns: list[str]) -> list[Cell]:
    if card.method is None:
        return cells(*[NOTHING] * (len(columns) + 2))
    row = subject.results.row(card.method)
    figures = [column_cell(subject, name, row) for name in columns]
    return [Cell(card.method), *figures, Cell("; ".join(card.cautions))]


def frontier_planes(subject: Subject, found: Mapping[str, Frontier]) -> Iterator[Plane]:
    """What is drawn of each frontier; without a figure of drift, quality stands in its place."""
    for name, axes in PLANES.items():
        x, y = (column_for(subject.results, axis) for axis in axes)
        missing = axes[1].columns[0]
        yield Plane(
            f"frontier-{name}",
            f"Frontier: {FRONTIERS[name].title}",
            x.name if x else axes[0].columns[0],
            y.name if y else subject.quality or missing,
            found[name].members,
        )


def membership(subject: Subject, found: Mapping[str, Frontier]) -> list[Block]:
    """Who is on which frontier, and who dominates the others."""
    headings = [Heading(frontier.title, numeric=False) for frontier in found.values()]
    rows = [
        method_row(subject, row, [_membership(frontier, name) for frontier in found.values()])
        for row, name in enumerate(subject.results.names)
    ]
    notes = [
        Text(f"{frontier.title.capitalize()}: {note}.")
        for frontier in found.values()
        for note in frontier.notes
    ]
    about = Text(
        "A method is on a frontier if no other is at least as good on every objective and better "
        "on one. In brackets: the share of bootstrap draws of prompts in which it is a member."
    )
    return [about, *notes, Table("Frontier membership, or who dominates", "method", headings, rows)]


def _membership(frontier: Frontier, method: str) -> Cell:
    if method in frontier.excluded:
        return Cell("", mark=f"no part: {frontier.excluded[method]}")
    share = frontier.shares.get(method)
    often = "" if share is None else f"({share:.0%})"
    first, *more = frontier.dominators[method] or ("",)
    if not first:
        return Cell("member", mark=often)
    others = f" and {len(more)} more" if more else ""
    return Cell("", mark=f"{first}{others} {often}".strip())
