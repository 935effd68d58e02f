"""Rankings under limits, and recommendations, as tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from kvbench_report.axes import AXES, IMAGING, Axis, column_for, notes
from kvbench_report.display import Display
from kvbench_report.limits import Limits, Verdict, judge, quality_gate, stated
from kvbench_report.recommend import PRESETS, RANKINGS, Card, cards, fitting, ranked
from kvbench_report.results import Floats, Results
from kvbench_report.stats import differences
from kvbench_report.text.tables import print_table

SHOWN = 12
"""Methods of a ranking under one limit."""


def print_ranking(results: Results, limits: Limits, preset: str) -> None:
    """Every method: those that fit by rank, the others with the reason."""
    verdicts = judge(results, limits)
    fit, others = _sorted(results, verdicts, preset)
    shown = _shown(results, [axis for axis in AXES if axis != IMAGING])
    rows = [
        [
            str(fit.index(row) + 1) if row in fit else "-",
            results.names[row],
            *(display.text(level[row]) for display, level in shown),
            "; ".join(verdicts[row].reasons or verdicts[row].doubts),
        ]
        for row in [*fit, *others]
    ]
    headings = ["", "method", *(display.title for display, _ in shown), "why not"]
    print_table(headings, rows, words=("method", "why not"))
    order = ", then ".join(axis.name for axis in PRESETS[preset])
    met = (
        f"{len(fit)} of {len(rows)} methods meet {stated(results, limits)}"
        if limits
        else (f"{len(rows)} methods, no limits given (such as --max-peak 12GiB)")
    )
    click.echo(f"\n{met}; sorted by {order}")
    for note in _notes(results):
        click.echo(note)
    best = [row for row in fit if not results.methods[row].is_reference][:2]
    if len(best) == 2:
        _print_difference(results, *best)


def print_rankings(results: Results, limits: Limits) -> None:
    """The best methods under each limit alone."""
    for ranking in RANKINGS:
        one = {quantity: b for quantity, b in limits.items() if quantity.axis == ranking.axis}
        if one:
            rows = ranked(results, ranking.order, sorted(fitting(results, one)))[:SHOWN]
            shown = _shown(results, ranking.order)
            click.secho(f"\n{ranking.title}: {stated(results, one)}", bold=True)
            print_table(
                ["method", *(display.title for display, _ in shown)],
                [[results.names[r], *(d.text(level[r]) for d, level in shown)] for r in rows],
            )


def print_cards(results: Results, limits: Limits, preset: str) -> None:
    """The study's five recommendations."""
    rows = [
        [card.title, card.method or "none qualifies", "; ".join(card.cautions)]
        for card in cards(results, limits, preset)
    ]
    click.echo()
    print_table(["choice", "method", "caution"], rows, words=("choice", "method", "caution"))
    for line in quality_gate(results, limits)[1]:
        click.echo(line)


def plain_ranking(results: Results, limits: Limits, preset: str) -> dict[str, Any]:
    """For JSON."""
    verdicts = judge(results, limits)
    columns = [found for axis in AXES if (found := column_for(results, axis))]
    levels = {column.name: results.level(column.name) for column in columns}
    fit, others = _sorted(results, verdicts, preset)
    return {
        "source": results.title,
        "preset": preset,
        "limits": [{"axis": q.axis.name, "kind": q.kind, "bound": b} for q, b in limits.items()],
        "ranking": [results.names[row] for row in fit],
        "methods": {
            results.names[row]: {
                "reasons": list(verdicts[row].reasons),
                "doubts": list(verdicts[row].doubts),
                **{name: float(level[row]) for name, level in levels.items()},
            }
            for row in [*fit, *others]
        },
        "cards": [_plain_card(card) for card in cards(results, limits, preset)],
        "notes": [*_notes(results), *quality_gate(results, limits)[1]],
    }


def _plain_card(card: Card) -> dict[str, Any]:
    return {"title": card.title, "method": card.method, "cautions": list(card.cautions)}


def _sorted(
    results: Results, verdicts: Sequence[Verdict], preset: str
) -> tuple[list[int], list[int]]:
    """The rows that fit and the others, each in the preset's order."""
    order = ranked(results, PRESETS[preset], range(len(verdicts)))
    fit = [row for row in order if not verdicts[row].reasons]
    return fit, [row for row in order if verdicts[row].reasons]


def _shown(results: Results, axes: Sequence[Axis]) -> list[tuple[Display, Floats]]:
    """How each axis is written, and its levels; axes without figures are left out."""
    columns = [found for axis in axes if (found := column_for(results, axis))]
    levels = [results.level(column.name) for column in columns]
    return [(Display.of(c, level), level) for c, level in zip(columns, levels, strict=True)]


def _notes(results: Results) -> list[str]:
    return notes({axis: column_for(results, axis) for axis in AXES})


def _print_difference(results: Results, first: int, second: int) -> None:
    """By how much the two best compressed methods differ, prompt by prompt."""
    parts = []
    for column in filter(None, (column_for(results, axis) for axis in AXES)):
        gap = differences(results, column.name, first)[second]
        if gap.low is not None:
            display = Display.of(column, results.values[column.name])
            same = ", not distinguishable" if gap.contains_zero else ""
            parts.append(f"  {display.title} {display.interval(gap, signed=True)}{same}")
    if parts:
        names = results.names
        click.echo(f"{names[second]} minus {names[first]}, paired by prompt, with 95 % intervals:")
        click.echo("\n".join(parts))
