"""``kvbench published explain``: what the published peaks are made of."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from kvbench_report.cli.source import benchmark_argument, json_option

if TYPE_CHECKING:
    from kvbench_core.published import Benchmark
    from kvbench_report.peaks import Peak

HEADINGS = (
    "method",
    "bits held per code",
    "held GiB",
    "model GiB",
    "published GiB",
    "published - model",
    "model, packed GiB",
)


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

    with progress(quiet or as_json) as listener:
        chosen = split_names(methods) or list(method_figures(benchmark))
        peaks, missing = take_apart(build_registry(), benchmark, chosen, listener)
    if figure is not None:
        from kvbench_report.peaks_figure import draw

        draw(peaks, figure)
    if as_json:
        _print_json(peaks, missing)
        return
    if peaks:
        _print(peaks)
    for name, why in missing.items():
        click.echo(f"left out: {name}: {why}", err=True)


def _print(peaks: list[Peak]) -> None:
    from kvbench_report.cli.text import print_table

    ordered = sorted(peaks, key=lambda peak: (not peak.is_explained, peak.packed_peak_bytes))
    print_table(HEADINGS, [_row(peak) for peak in ordered])
    unexplained = [peak.method for peak in ordered if not peak.is_explained]
    click.echo(
        f"\nmodel: {_gib(ordered[0].other_bytes)} GiB of everything else (BF16's peak less its "
        "cache) + what is held"
    )
    click.echo(
        f"within 1 % of the published peak: {len(peaks) - len(unexplained)} of {len(peaks)} methods"
    )
    if unexplained:
        click.echo(f"not explained: {', '.join(unexplained)}")


def _row(peak: Peak) -> list[str]:
    coded = peak.held_bytes != peak.packed_bytes
    return [
        peak.method,
        str(peak.container_bits) if coded else "-",
        _gib(peak.held_bytes),
        _gib(peak.model_bytes),
        _gib(peak.published_bytes),
        _difference(peak.difference_bytes),
        _gib(peak.packed_peak_bytes),
    ]


def _gib(number: int) -> str:
    return f"{number / 2**30:.4f}"


def _difference(number: int) -> str:
    """Bytes, in the unit that suits them."""
    if abs(number) < 10_000:
        return f"{number} B"
    return f"{number / 2**20:.1f} MiB" if abs(number) < 2**30 else f"{number / 2**30:.2f} GiB"


def _print_json(peaks: list[Peak], missing: dict[str, str]) -> None:
    from attrs import asdict

    from kvbench_report.cli.text import print_json

    derived = ("model_bytes", "difference_bytes", "packed_peak_bytes", "is_explained")
    rows = [asdict(peak) | {name: getattr(peak, name) for name in derived} for peak in peaks]
    print_json({"peaks": rows, "left_out": missing})
