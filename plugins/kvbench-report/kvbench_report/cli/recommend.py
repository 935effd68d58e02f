"""``kvbench recommend``: which method to take under limits, and why not the others."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
    from kvbench_report.recommend import Card
    from kvbench_report.results import Results


def bound(text: str) -> float:
    """A limit: a finite number, not negative."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        raise click.BadParameter(f"{text!r} is no limit; write a number such as 0.6")
    return number


PRESETS = ("single-gpu", "quality", "long-horizon", "compression")
SHOWN = 12


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
    results = source(run, published)
    limits = _limits(results, preset, calibrate, bounds)
    if rankings and not (limits or calibrate):
        raise click.UsageError("--rankings needs a limit, or --calibrate")
    if as_json:
        _print_json(results, limits, preset)
        return
    _print_ranking(results, limits, preset)
    if rankings:
        _print_rankings(results, limits)
    _print_cards(results, limits, preset)
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


def _print_ranking(results: Results, limits: Limits, preset: str) -> None:
    from kvbench_report.axes import AXES, IMAGING, column_for
    from kvbench_report.cli.text import print_table
    from kvbench_report.display import Display
    from kvbench_report.limits import judge
    from kvbench_report.recommend import PRESETS, ranked

    verdicts = judge(results, limits)
    order = ranked(results, PRESETS[preset], range(len(verdicts)))
    fit = [row for row in order if not verdicts[row].reasons]
    columns = [found for axis in AXES if axis != IMAGING and (found := column_for(results, axis))]
    shown = [(Display.of(c, results.values[c.name]), results.level(c.name)) for c in columns]
    rows = [
        [
            str(fit.index(row) + 1) if row in fit else "-",
            results.names[row],
            *(display.text(level[row]) for display, level in shown),
            "; ".join(verdicts[row].reasons or verdicts[row].doubts),
        ]
        for row in [*fit, *(row for row in order if row not in fit)]
    ]
    headings = ["", "method", *(display.title for display, _ in shown), "why not"]
    print_table(headings, rows, words=("method", "why not"))
    click.echo(f"\n{len(fit)} of {len(order)} methods meet {_stated(results, limits)}; "
               f"sorted by {', then '.join(axis.name for axis in PRESETS[preset])}")  # fmt: skip
    for note in _notes(results):
        click.echo(note)
    best = [row for row in fit if not results.methods[row].is_reference][:2]
    if len(best) == 2:
        _print_difference(results, best[0], best[1])


def _print_difference(results: Results, first: int, second: int) -> None:
    """By how much the two best compressed methods differ, prompt by prompt."""
    from kvbench_report.axes import AXES, column_for
    from kvbench_report.display import Display
    from kvbench_report.stats import differences

    parts = []
    for column in filter(None, (column_for(results, axis) for axis in AXES)):
        gap = differences(results, column.name, first)[second]
        if gap.low is not None:
            display = Display.of(column, results.values[column.name])
            same = ", not distinguishable" if gap.contains_zero else ""
            parts.append(f"  {display.title} {display.interval(gap, signed=True)}{same}")
    if parts:
        names = results.names
        click.echo(f"{names[second]} minus {names[first]}, paired by prompt, with 95 % intervals:")
        click.echo("\n".join(parts))


def _stated(results: Results, limits: Limits) -> str:
    from kvbench_report.axes import column_for
    from kvbench_report.limits import named, writer

    texts = []
    for quantity, bound in limits.items():
        column = column_for(results, quantity.axis)
        if column:
            side = "at most" if quantity.is_capped(column) else "at least"
            write = writer(results, quantity, column)
            texts.append(f"{named(quantity, column)} {side} {write(bound)}")
        else:
            texts.append(f"a limit on {quantity.axis.name}")
    return ", ".join(texts) or "no limit"


def _notes(results: Results) -> list[str]:
    from kvbench_report.axes import AXES, column_for, stand_in

    found = {axis: column_for(results, axis) for axis in AXES}
    absent = [axis.name for axis, column in found.items() if column is None]
    notes = [stand_in(axis, column) for axis, column in found.items() if column]
    return [f"no figures of {', '.join(absent)}"] * bool(absent) + [note for note in notes if note]


def _print_rankings(results: Results, limits: Limits) -> None:
    from kvbench_report.axes import column_for
    from kvbench_report.cli.text import print_table
    from kvbench_report.display import Display
    from kvbench_report.recommend import RANKINGS, fitting, ranked

    for ranking in RANKINGS:
        one = {quantity: b for quantity, b in limits.items() if quantity.axis == ranking.axis}
        if not one:
            continue
        rows = ranked(results, ranking.order, sorted(fitting(results, one)))[:SHOWN]
        columns = [found for axis in ranking.order if (found := column_for(results, axis))]
        shown = [(Display.of(c, results.values[c.name]), results.level(c.name)) for c in columns]
        click.secho(f"\n{ranking.title}: {_stated(results, one)}", bold=True)
        print_table(
            ["method", *(display.title for display, _ in shown)],
            [[results.names[r], *(d.text(level[r]) for d, level in shown)] for r in rows],
        )


def _print_cards(results: Results, limits: Limits, preset: str) -> None:
    from kvbench_report.cli.text import print_table
    from kvbench_report.recommend import cards

    rows = [
        [card.title, card.method or "none qualifies", "; ".join(card.cautions)]
        for card in cards(results, limits, preset)
    ]
    click.echo()
    print_table(["choice", "method", "caution"], rows, words=("choice", "method", "caution"))


def _print_json(results: Results, limits: Limits, preset: str) -> None:
    from kvbench_report.axes import AXES, column_for
    from kvbench_report.cli.text import print_json
    from kvbench_report.limits import judge
    from kvbench_report.recommend import PRESETS, cards, ranked

    verdicts = judge(results, limits)
    columns = [found for axis in AXES if (found := column_for(results, axis))]
    levels = {column.name: results.level(column.name) for column in columns}
    order = ranked(results, PRESETS[preset], range(len(verdicts)))
    fit = [row for row in order if not verdicts[row].reasons]
    print_json({
        "source": results.title,
        "preset": preset,
        "limits": [{"axis": q.axis.name, "kind": q.kind, "bound": b} for q, b in limits.items()],
        "ranking": [results.names[row] for row in fit],
        "methods": {
            results.names[row]: {
                "reasons": list(verdicts[row].reasons),
                "doubts": list(verdicts[row].doubts),
                **{name: float(level[row]) for name, level in levels.items()},
            }
            for row in order
        },
        "cards": [_plain(card) for card in cards(results, limits, preset)],
        "notes": _notes(results),
    })  # fmt: skip


def _plain(card: Card) -> dict[str, Any]:
    return {"title": card.title, "method": card.method, "cautions": list(card.cautions)}
