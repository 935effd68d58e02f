"""``kvbench recommend``: which method to take under limits, and why not the others."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kvbench_core.cli.budget import size
from kvbench_report.cli.source import (
    json_option,
    published_option,
    run_argument,
    say_problems,
    source,
)

if TYPE_CHECKING:
    from kvbench_core.published import Benchmark
    from kvbench_report.limits import Limits
    from kvbench_report.results import Results

PRESETS = ("single-gpu", "quality", "long-horizon", "compression")


def bound(text: str) -> float:
    """A limit: a finite number, not negative."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        raise click.BadParameter(f"{text!r} is no limit; write a number such as 0.6")
    return number


@click.command()
@run_argument
@published_option
@click.option("--max-peak", type=size, metavar="SIZE", help="Most memory, e.g. 12GiB.")
@click.option("--max-runtime", type=bound, metavar="S", help="Longest time of one video, seconds.")
@click.option("--max-runtime-ratio", type=bound, metavar="X", help="Most time, in times of BF16.")
@click.option("--min-ratio", type=bound, metavar="X", help="Least compression ratio.")
@click.option("--min-ssim", type=bound, metavar="X", help="Least SSIM to BF16.")
@click.option("--max-lpips", type=bound, metavar="X", help="Largest LPIPS to BF16.")
@click.option("--min-psnr", type=bound, metavar="DB", help="Least PSNR to BF16, dB.")
@click.option("--max-drift-drop", type=bound, metavar="X", help="Largest drop of drift-last.")
@click.option(
    "--preset",
    type=click.Choice(PRESETS),
    default="single-gpu",
    show_default=True,
    help="What counts first.",
)
@click.option(
    "--calibrate", is_flag=True, help="Limits that just let pass the preset's best three methods."
)
@click.option("--rankings", is_flag=True, help="Also rank under each limit alone, the best 12.")
@json_option
def recommend(
    run: Path | None,
    published: Benchmark | None,
    preset: str,
    calibrate: bool,
    rankings: bool,
    as_json: bool,
    **bounds: float | None,
) -> None:
    """Rank the methods of a run that meet all limits; say why the others do not.

    RUN is a directory that `kvbench run` made. Below the ranking stand five recommendations by the
    published study's rule; without limits on quality, its tolerances count for them.
    """
    from kvbench_report.text.ranking import (
        plain_ranking,
        print_cards,
        print_ranking,
        print_rankings,
    )
    from kvbench_report.text.tables import print_json

    results = source(run, published)
    limits = _limits(results, preset, calibrate, bounds)
    if rankings and not (limits or calibrate):
        raise click.UsageError("--rankings needs a limit, or --calibrate")
    if as_json:
        print_json(plain_ranking(results, limits, preset))
        return
    print_ranking(results, limits, preset)
    if rankings:
        print_rankings(results, limits)
    print_cards(results, limits, preset)
    say_problems(results)


def _limits(
    results: Results, preset: str, calibrate: bool, bounds: dict[str, float | None]
) -> Limits:
    from kvbench_report import limits as of
    from kvbench_report.recommend import calibrated

    options = {
        "max_peak": of.PEAK_CAP,
        "max_runtime": of.RUNTIME_CAP,
        "max_runtime_ratio": of.RUNTIME_RATIO,
        "min_ratio": of.LEAST_RATIO,
        "min_ssim": of.LEAST_SSIM,
        "max_lpips": of.MOST_LPIPS,
        "min_psnr": of.LEAST_PSNR,
        "max_drift_drop": of.DRIFT_LOSS,
    }
    given = {options[name]: bound for name, bound in bounds.items() if bound is not None}
    return {**(calibrated(results, preset) if calibrate else {}), **given}
