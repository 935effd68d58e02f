"""``kvbench report``: a page, figures and tables of a run."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder to write to  [default: report/ in RUN].",
)
@click.option(
    "--prompt", "prompts", multiple=True, metavar="ID",
    help="Show frames of this prompt; may be given again  [default: the first].",
)  # fmt: skip
@click.option(
    "--method", "methods", multiple=True, metavar="NAME",
    help="Show frames of this method; may be given again  [default: BF16 and nine others from the "
    "best quality to the worst].",
)  # fmt: skip
def report(run: Path, out: Path | None, prompts: tuple[str, ...], methods: tuple[str, ...]) -> None:
    """Write a report of a run: report.html, figures as SVG and PNG, tables for papers.

    RUN is a directory that `kvbench run` made. The page opens without a network or a server, and
    the same run gives the same files. `kvbench table` prints a short table instead.
    """
    from rich.console import Console

    from kvbench_report.report import write_report

    with Console(stderr=True).status("Writing the report"):
        path = write_report(run, out or run / "report", prompts, methods)
    click.echo(f"Wrote {path}, with figures/ and tables/ beside it.")
