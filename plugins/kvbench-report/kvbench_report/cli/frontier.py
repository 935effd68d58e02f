"""``kvbench frontier``: which methods no other method beats on everything."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kvbench_report.cli.source import (
    json_option,
    published_option,
    run_argument,
    say_problems,
    source,
)

if TYPE_CHECKING:
    from kvbench_core.published import Benchmark
    from kvbench_report.frontier import Frontier
    from kvbench_report.results import Results

DOMINATORS = 3
NAMES = ("balanced", "compression", "systems", "quality")


@click.command()
@run_argument
@published_option
@click.option("--only", type=click.Choice(NAMES), help="One frontier, with all its figures.")
@json_option
def frontier(
    run: Path | None, published: Benchmark | None, only: str | None, as_json: bool
) -> None:
    """Say which methods are on the four Pareto frontiers, and who dominates the others.

    RUN is a directory that `kvbench run` made. A method is on a frontier if no other is at least
    as good on all its objectives and better on one. The percentage is how often that holds when
    prompts are drawn with replacement.
    """
    from kvbench_report.cli.text import print_json
    from kvbench_report.frontier import frontier as find

    results = source(run, published)
    found = [find(results, name) for name in ((only,) if only else NAMES)]
    if as_json:
        print_json({"source": results.title, "frontiers": [_plain(each) for each in found]})
        return
    if only:
        _print_one(results, found[0])
    else:
        _print_all(results, found)
    for each in found:
        click.echo(_legend(each))
    for line in _left_out(found):
        click.echo(line)
    say_problems(results)


def _print_all(results: Results, found: list[Frontier]) -> None:
    from kvbench_report.cli.text import print_table

    rows = [[name, *(_cell(each, name) for each in found)] for name in results.names]
    print_table(["method", *(each.name for each in found)], rows)
    click.echo("\na number: so many methods dominate this one; --only NAME names them\n")


def _cell(found: Frontier, name: str) -> str:
    others = found.dominators.get(name)
    if others is None:
        return "-"
    word = str(len(others)) if others else "yes"
    return f"{word} ({found.shares[name]:.0%})" if name in found.shares else word


def _print_one(results: Results, found: Frontier) -> None:
    from kvbench_report.cli.text import print_table
    from kvbench_report.display import Display

    shown = [(Display.of(c, results.values[c.name]), c) for c in found.objectives]
    levels = {column.name: results.level(column.name) for column in found.objectives}
    members_first = sorted(found.dominators, key=lambda name: len(found.dominators[name]) > 0)
    rows = [
        [
            name,
            _cell(found, name),
            *(each.text(levels[column.name][results.row(name)]) for each, column in shown),
            _some(found.dominators[name]),
        ]
        for name in members_first
    ]
    headings = ["method", "member", *(each.title for each, _ in shown), "dominated by"]
    print_table(headings, rows, words=("method", "dominated by"))
    click.echo()


def _some(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - DOMINATORS} more" if len(names) > DOMINATORS else ""
    return ", ".join(names[:DOMINATORS]) + more


def _left_out(found: list[Frontier]) -> Iterator[str]:
    reasons = {(name, why) for each in found for name, why in each.excluded.items()}
    for name, why in sorted(reasons):
        where = ", ".join(each.name for each in found if each.excluded.get(name) == why)
        yield f"{name} is left out of {where}: {why}"


def _legend(found: Frontier) -> str:
    from kvbench_report.display import display_name

    goals = ", ".join(
        f"{'max' if column.better == 'higher' else 'min'} {display_name(column)}"
        for column in found.objectives
    )
    count = f"{len(found.members)} of {len(found.dominators)} methods"
    return "; ".join([f"{found.name} ({found.title}): {goals or 'nothing'}; {count}", *found.notes])


def _plain(found: Frontier) -> dict[str, Any]:
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
