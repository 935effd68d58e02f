"""Frontiers as tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import click

from kvbench_report.display import Display, display_name
from kvbench_report.frontier import Frontier
from kvbench_report.results import Results
from kvbench_report.text.tables import print_table

DOMINATORS = 3


def print_frontiers(results: Results, found: Sequence[Frontier]) -> None:
    """Every method on every frontier; of a single one with all its figures."""
    if len(found) == 1:
        _print_one(results, found[0])
    else:
        rows = [[name, *(_cell(each, name) for each in found)] for name in results.names]
        print_table(["method", *(each.name for each in found)], rows)
        click.echo("\na number: so many methods dominate this one; --only NAME names them")
    click.echo()
    for each in found:
        click.echo(_legend(each))
    for line in _left_out(found):
        click.echo(line)


def _cell(found: Frontier, name: str) -> str:
    others = found.dominators.get(name)
    if others is None:
        return "-"
    word = str(len(others)) if others else "yes"
    return f"{word} ({found.shares[name]:.0%})" if name in found.shares else word


def _print_one(results: Results, found: Frontier) -> None:
    shown = [
        (Display.of(column, results.values[column.name]), results.level(column.name))
        for column in found.objectives
    ]
    members_first = sorted(found.dominators, key=lambda name: len(found.dominators[name]) > 0)
    rows = [
        [
            name,
            _cell(found, name),
            *(display.text(level[results.row(name)]) for display, level in shown),
            _some(found.dominators[name]),
        ]
        for name in members_first
    ]
    headings = ["method", "member", *(display.title for display, _ in shown), "dominated by"]
    print_table(headings, rows, words=("method", "dominated by"))


def _some(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - DOMINATORS} more" if len(names) > DOMINATORS else ""
    return ", ".join(names[:DOMINATORS]) + more


def _legend(found: Frontier) -> str:
    goals = ", ".join(
        f"{'max' if column.better == 'higher' else 'min'} {display_name(column)}"
        for column in found.objectives
    )
    count = f"{len(found.members)} of {len(found.dominators)} methods"
    return "; ".join([f"{found.name} ({found.title}): {goals or 'nothing'}; {count}", *found.notes])


def _left_out(found: Sequence[Frontier]) -> Iterator[str]:
    for name, why in sorted({item for each in found for item in each.excluded.items()}):
        where = ", ".join(each.name for each in found if each.excluded.get(name) == why)
        yield f"{name} is left out of {where}: {why}"


def plain_frontier(found: Frontier) -> dict[str, Any]:
    """For JSON."""
    return {
        "name": found.name,
        "title": found.title,
        "objectives": [{"column": c.name, "better": c.better} for c in found.objectives],
        "members": list(found.members),
        "dominated": {n: list(by) for n, by in found.dominators.items() if by},
        "shares": dict(found.shares),
        "excluded": dict(found.excluded),
        "notes": list(found.notes),
    }
