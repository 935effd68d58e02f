"""``kvbench evaluate``: score the videos of a run."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kvbench_core.cli.options import metrics_option
from kvbench_core.specs import MetricSpec

if TYPE_CHECKING:
    from kvbench_core.registry import Registry
    from kvbench_core.run.evaluate import Evaluation
    from kvbench_core.run.store import RunStore


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@metrics_option
@click.option(
    "--jobs",
    "-j",
    type=click.IntRange(min=1),
    metavar="N",
    help="Videos to score side by side, each in a process of its own; 1 stays in this process "
    "[default: as many as there are cores and memory for, if there are videos enough].",
)
@click.option("--quiet", is_flag=True, help="No progress.")
@click.option("--json", "as_json", is_flag=True, help="Print the table as JSON.")
@click.pass_context
def evaluate(
    ctx: click.Context,
    run: Path,
    metrics: list[str] | None,
    jobs: int | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Score the videos of a run and print the table.

    RUN is a directory that `kvbench run` made.
    Only what is missing or out of date is computed, so this can be repeated after installing
    another metric, also in another environment. Exit code 1: a score could not be computed.
    """
    from kvbench_core.registry import build_registry
    from kvbench_core.run.store import RunStore

    store = RunStore.open(run)
    result = score(store, build_registry(), metrics, quiet, jobs)
    show(store, as_json)
    ctx.exit(1 if result.failed else 0)


def score(
    store: RunStore,
    registry: Registry,
    metrics: list[str] | None,
    quiet: bool,
    jobs: int | None = None,
) -> Evaluation:
    """Evaluate with progress, and bring the derived table up to date."""
    from kvbench_core.cli.progress import progress
    from kvbench_core.registry import PACKAGES
    from kvbench_core.run.evaluate import evaluate as evaluate_run
    from kvbench_core.run.export import export_table

    if not registry.all(MetricSpec):
        click.echo(f"No metric is installed{PACKAGES[MetricSpec]}", err=True)
    # What a metric prints is no result.
    with progress(quiet) as listener, redirect_stdout(sys.stderr):
        result = evaluate_run(store, registry, metrics, listener, processes=jobs)
    export_table(store)
    return result


def show(store: RunStore, as_json: bool) -> None:
    """Print the table."""
    from kvbench_core.report.formats import FORMATS
    from kvbench_core.report.table import build_table

    click.echo(FORMATS["json" if as_json else "terminal"](build_table(store)))
