"""``kvbench run``: generate videos with each method, score them, compare."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import click

from kvbench_core.cli.options import given_options, metrics_option
from kvbench_core.cli.request import request_options, requested_plan


@click.command()
@request_options
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Run directory; name an existing one to resume or extend it [default: runs/<time>].",
)
@click.option("--preview", is_flag=True, help="Also write small videos that every browser plays.")
@metrics_option
@click.option("--no-evaluate", is_flag=True, help="Only generate; score later.")
@click.option("--quiet", is_flag=True, help="No progress.")
@click.option("--json", "as_json", is_flag=True, help="Print the table as JSON.")
@click.pass_context
def run(
    ctx: click.Context,
    /,
    out: Path | None,
    preview: bool,
    metrics: list[str] | None,
    no_evaluate: bool,
    quiet: bool,
    as_json: bool,
    **request: Any,
) -> None:
    """Generate videos with each method and compare them.

    \b
    Examples:
      kvbench run
      kvbench run -m RTN_INT4,'rtn(bits=3)+recent(blocks=2)' --prompts 4 --out runs/mine
      kvbench run -m all --suite my_prompts.txt --prompts 10

    Without options: the small built-in generator, BF16 and the RTN family, one prompt. The same
    command with the same --out resumes after an interruption; with more methods or prompts it
    extends the run. Exit code 1: something failed, and the table says what; 2: a mistake in the
    request; 130: interrupted.
    """
    from kvbench_core.cli.evaluate import score, show
    from kvbench_core.cli.progress import progress
    from kvbench_core.registry import build_registry
    from kvbench_core.run.export import export_table
    from kvbench_core.run.loaded_metric import load_metrics
    from kvbench_core.run.runner import run_plan, write_previews
    from kvbench_core.run.store import RunStore

    registry = build_registry()
    if metrics:
        load_metrics(registry, metrics)  # what cannot be scored need not be generated
    plan = requested_plan(registry, **request)
    store = RunStore(out or Path("runs") / f"{datetime.now().astimezone():%Y%m%d-%H%M%S}")
    with progress(quiet) as listener:
        outcome = run_plan(plan, store, registry, listener, given=given_options(ctx))
    if preview:
        write_previews(plan, store)
    export_table(store)
    failed = outcome.failed
    if not no_evaluate:
        failed += score(store, registry, metrics, quiet).failed
    show(store, as_json)
    if not as_json:
        click.echo(_where(store.root, preview))
    ctx.exit(1 if failed else 0)


def _where(root: Path, preview: bool) -> str:
    lines = [
        f"\nvideos (lossless):  {root / 'videos'}",
        f"videos to look at:  {root / 'previews'}" if preview else "",
        f"all figures:        {root / 'cells.parquet'}",
        f"this table again:   kvbench table {root}",
    ]
    return "\n".join(line for line in lines if line)
