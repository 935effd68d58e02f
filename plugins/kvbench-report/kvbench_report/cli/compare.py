"""``kvbench compare``: a run beside another run or a published table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from kvbench_report.cli.source import json_option, published_option, say_problems, source

if TYPE_CHECKING:
    from kvbench_core.published import Benchmark


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("other", required=False, type=click.Path(path_type=Path), metavar="[RUN_B]")
@published_option
@click.option(
    "--integration",
    type=click.Choice(("streaming", "reconstruct")),
    default="streaming",
    show_default=True,
    help="Which of a method's integrations meets the published row.",
)
@click.option("--column", metavar="NAME", help="One quantity: figures and ranks of each method.")
@json_option
def compare(
    run: Path,
    other: Path | None,
    published: Benchmark | None,
    integration: str,
    column: str | None,
    as_json: bool,
) -> None:
    """Set a run beside a published table, or beside another run.

    Shows what differs in the settings, how far each quantity's values (Pearson) and order
    (Spearman, with the interval over draws of prompts) agree, which methods' ranks differ most,
    and the figures, RUN's first.
    """
    from kvbench_report.compare import compare as set_beside
    from kvbench_report.text.comparison import (
        plain_comparison,
        print_comparison,
        print_quantity,
    )
    from kvbench_report.text.tables import print_json

    found = set_beside(source(run, None), source(other, published), integration)
    if as_json:
        print_json(plain_comparison(found))
        return
    if column is None:
        print_comparison(found)
    else:
        print_quantity(found, column)
    say_problems(found.here)
    say_problems(found.there)
