"""What the analyses take: a run directory, or a published table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from kvbench_core.published import BENCHMARKS

if TYPE_CHECKING:
    from kvbench_core.published import Benchmark
    from kvbench_report.results import Results

SHOWN = 8
"""Failures and problems that are printed."""

run_argument = click.argument("run", required=False, type=click.Path(path_type=Path))
published_option = click.option(
    "--published",
    type=click.Choice(BENCHMARKS),
    help="A table of the published study.",
)
benchmark_argument = click.argument(
    "benchmark", type=click.Choice(BENCHMARKS), default="moviegen", required=False
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def source(run: Path | None, published: Benchmark | None) -> Results:
    """The results that the arguments name; a run's title is its path as it was given.

    Raises:
        click.UsageError: not exactly one was given.
        KvbenchError: the run cannot be read, or has no cell.
    """
    from attrs import evolve

    from kvbench_core.errors import StoreError
    from kvbench_report.published_results import published_results
    from kvbench_report.run_results import read_run

    if (run is None) == (published is None):
        raise click.UsageError(
            "give a run directory or --published " + "|".join(BENCHMARKS) + ", one of them"
        )
    if published is not None:
        return published_results(published)
    assert run is not None
    results = read_run(run)
    if not results.methods:
        raise StoreError(f"{run} has no readable cell yet; `kvbench run --out {run}` makes them")
    return evolve(results, title=str(run))


def say_problems(results: Results) -> None:
    """Failures and problems of a run, on stderr: they are why figures are missing."""
    from kvbench_core.errors import printable

    lines = [*results.failures, *results.problems]
    for line in lines[:SHOWN]:
        click.echo(f"note: {printable(line)}", err=True)
    if len(lines) > SHOWN:
        click.echo(f"note: and {len(lines) - SHOWN} more; see `kvbench table`", err=True)
