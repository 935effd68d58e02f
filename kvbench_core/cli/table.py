"""``kvbench table``: the table of a run."""

from __future__ import annotations

from pathlib import Path

import click

FORMATS = ("terminal", "markdown", "csv", "json")


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--format",
    "style",
    type=click.Choice(FORMATS),
    default="terminal",
    show_default=True,
    help="How to write the table.",
)
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write to a file instead of the screen.",
)
def table(run: Path, style: str, output: Path | None) -> None:
    """Print the comparison table of a run.

    RUN is a directory that `kvbench run` made; nothing in it is changed. CSV and JSON
    hold bytes and seconds, not rounded.
    """
    from kvbench_core.errors import StoreError
    from kvbench_core.report.formats import FORMATS as WRITERS
    from kvbench_core.report.table import build_table
    from kvbench_core.run.store import RunStore

    text = WRITERS[style](build_table(RunStore.open(run)))
    if output is None:
        click.echo(text)
        return
    try:
        output.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise StoreError(f"cannot write {output}: {error.strerror or error}") from error
