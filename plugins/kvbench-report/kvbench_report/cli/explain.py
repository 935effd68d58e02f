"""``kvbench published explain``: what the published peaks are made of."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from kvbench_report.cli.source import benchmark_argument, json_option

if TYPE_CHECKING:
    from kvbench_core.published import Benchmark


@click.command()
@benchmark_argument
@click.option(
    "--methods", "-m", multiple=True, metavar="NAMES", help="Published methods [default: all]."
)
@click.option(
    "--figure", type=click.Path(path_type=Path, dir_okay=False), help="Also draw it, PNG or SVG."
)
@click.option("--quiet", is_flag=True, help="No progress.")
@json_option
def explain(
    benchmark: Benchmark,
    methods: tuple[str, ...],
    figure: Path | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Take the published peaks apart: everything else, plus the cache as it was held.

    Codes were kept in integers of 8 or 16 bits. The last column is the peak that the same sum
    gives for packed codes. Sizes come from the installed methods' own layouts at the geometry of
    Wan2.1 1.3B, 42 latent frames.
    """
    from kvbench_core.cli.options import split_names
    from kvbench_core.cli.progress import progress
    from kvbench_core.published import method_figures
    from kvbench_core.registry import build_registry
    from kvbench_report.peaks import explain as take_apart
    from kvbench_report.text.peaks import plain_peaks, print_peaks
    from kvbench_report.text.tables import print_json

    if figure is not None:
        from kvbench_report.peaks_figure import check_path

        check_path(figure)
    with progress(quiet or as_json) as listener:
        chosen = split_names(methods) or list(method_figures(benchmark))
        peaks, missing = take_apart(build_registry(), benchmark, chosen, listener)
    if figure is not None:
        from kvbench_report.peaks_figure import draw

        draw(peaks, figure)
    if as_json:
        print_json(plain_peaks(peaks, missing))
        return
    if peaks:
        print_peaks(peaks)
    for name, why in missing.items():
        click.echo(f"left out: {name}: {why}", err=True)
