"""``kvbench frontier``: which methods no other method beats on everything."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

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
    from kvbench_report.frontier import frontier as find
    from kvbench_report.text.frontiers import plain_frontier, print_frontiers
    from kvbench_report.text.tables import print_json

    results = source(run, published)
    found = [find(results, name) for name in ((only,) if only else NAMES)]
    if as_json:
        print_json({"source": results.title, "frontiers": [plain_frontier(each) for each in found]})
        return
    print_frontiers(results, found)
    say_problems(results)
