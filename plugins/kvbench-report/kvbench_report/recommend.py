"""Which method to take: orders, rankings under limits, and the published study's five cards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from attrs import frozen

from kvbench_report.axes import (
    DRIFT,
    LPIPS,
    PEAK,
    PSNR,
    RATIO,
    RUNTIME,
    SSIM,
    Axis,
    column_for,
    costs,
)
from kvbench_report.frontier import frontier
from kvbench_report.limits import (
    CAPS,
    DRIFT_LOSS,
    LEAST_PSNR,
    LEAST_RATIO,
    LPIPS_LOSS,
    PEAK_CAP,
    RUNTIME_CAP,
    RUNTIME_RATIO,
    SSIM_LOSS,
    Limits,
    Quantity,
    judge,
    quality_gate,
)
from kvbench_report.results import Results

Order = tuple[Axis, ...]
"""Axes by importance: sort by the first, best first, then by the next; what is missing is last."""

PRESETS: Mapping[str, Order] = {
    "single-gpu": (PEAK, SSIM, LPIPS, DRIFT, RATIO, RUNTIME, PSNR),
    "quality": (SSIM, LPIPS, PSNR, DRIFT, PEAK, RATIO, RUNTIME),
    "long-horizon": (DRIFT, SSIM, LPIPS, PEAK, RATIO, RUNTIME, PSNR),
    "compression": (RATIO, SSIM, LPIPS, DRIFT, PEAK, RUNTIME, PSNR),
}
AGGRESSIVE: Order = (RATIO, SSIM, LPIPS, DRIFT, PEAK, RUNTIME, PSNR)
FASTEST: Order = (RUNTIME, PEAK, SSIM, LPIPS, PSNR)
QUALITY_FIRST: Order = (SSIM, LPIPS, PSNR, DRIFT, PEAK, RATIO, RUNTIME)
BAD_SSIM_DROP = 0.20
MOST_CAUTIONS = 2


@frozen
class Ranking:
    """A table of the study: the order among the methods that meet the limit on one axis."""

    title: str
    axis: Axis
    order: Order


SMALLEST: Order = (RATIO, SSIM, LPIPS, PSNR)
QUICKEST: Order = (RUNTIME, RATIO, SSIM, LPIPS)
RANKINGS: tuple[Ranking, ...] = (
    Ranking("quality under a runtime limit", RUNTIME, (SSIM, LPIPS, PSNR, DRIFT, PEAK)),
    Ranking("quality under a memory limit", PEAK, (SSIM, LPIPS, PSNR, RUNTIME)),
    Ranking("compression within an SSIM limit", SSIM, SMALLEST),
    Ranking("compression within a PSNR limit", PSNR, SMALLEST),
    Ranking("compression within an LPIPS limit", LPIPS, SMALLEST),
    Ranking("runtime within an SSIM limit", SSIM, QUICKEST),
    Ranking("runtime within a PSNR limit", PSNR, QUICKEST),
    Ranking("runtime within an LPIPS limit", LPIPS, QUICKEST),
    Ranking("stability within a drift limit", DRIFT, (SSIM, LPIPS, RATIO, RUNTIME)),
)


@frozen
class Card:
    """One recommendation; ``method`` is ``None`` where nothing qualifies."""

    title: str
    method: str | None
    cautions: tuple[str, ...] = ()


def ranked(results: Results, order: Order, rows: Sequence[int]) -> list[int]:
    """``rows`` in the given order; equal ones stay as they are."""
    columns = [column_for(results, axis) for axis in order]
    keys = [costs(results, column) for column in columns if column is not None]
    keys = [np.where(np.isnan(key), np.inf, key) for key in keys]
    return sorted(rows, key=lambda row: [key[row] for key in keys])


def fitting(results: Results, limits: Limits) -> set[int]:
    """The rows that meet all limits."""
    return {row for row, verdict in enumerate(judge(results, limits)) if not verdict.reasons}


def calibrated(results: Results, preset: str) -> dict[Quantity, float]:
    """Limits that just let pass the three best compressed methods of a preset.

    The study's start values; quantities without any figure are left out.
    """
    best = ranked(results, PRESETS[preset], _compressed(results))[:3]
    limits = {}
    for quantity in (RUNTIME_CAP, PEAK_CAP, SSIM_LOSS, LPIPS_LOSS, DRIFT_LOSS, LEAST_RATIO,
                     LEAST_PSNR):  # fmt: skip
        column = column_for(results, quantity.axis)
        if column is not None:
            values = quantity.of(results, column)[best]
            values = values[np.isfinite(values)]
            if len(values):
                limits[quantity] = float(
                    values.max() if quantity.is_capped(column) else values.min()
                )
    return limits


def cards(results: Results, limits: Limits, preset: str) -> list[Card]:
    """The five recommendations of the study's rule.

    Limits on memory and time are caps; the others make the :func:`quality_gate`.
    """
    caps = {quantity: bound for quantity, bound in limits.items() if quantity in CAPS}
    gate, _ = quality_gate(results, limits)
    everyone = _compressed(results)
    within = fitting(results, caps)
    good = fitting(results, gate)
    on = {results.row(name) for name in frontier(results, "balanced").members}
    capable = _any_of(_any_of(everyone, good), within)
    allowed = _any_of(everyone, within)
    candidates = [
        ("recommended", PRESETS[preset], _recommended(everyone, good, within, on, bool(caps))),
        ("aggressive compression", AGGRESSIVE, _with_ratio(results, capable)),
        ("fastest", FASTEST, allowed),
        ("quality first", QUALITY_FIRST, allowed),
        ("reference", (), [] if results.reference is None else [results.reference]),
    ]
    return [
        _card(results, title, ranked(results, order, rows), {**caps, **gate})
        for title, order, rows in candidates
    ]


def _compressed(results: Results) -> list[int]:
    return [row for row, method in enumerate(results.methods) if not method.is_reference]


def _any_of(rows: Sequence[int], preferred: set[int]) -> list[int]:
    """The preferred among ``rows``, or all of them if there is none."""
    return [row for row in rows if row in preferred] or list(rows)


def _recommended(
    rows: list[int], good: set[int], within: set[int], on: set[int], capped: bool
) -> list[int]:
    """Good and on the frontier, else good, else (without caps) on the frontier, else anyone."""
    fit = [row for row in rows if row in good & within]
    best = [row for row in fit if row in on] or fit
    return best or ([] if capped else _any_of(rows, on))


def _with_ratio(results: Results, rows: list[int]) -> list[int]:
    column = column_for(results, RATIO)
    if column is None:
        return []
    ratios = results.level(column.name)
    return [row for row in rows if not np.isnan(ratios[row])]


def _card(results: Results, title: str, rows: list[int], limits: Limits) -> Card:
    if not rows:
        return Card(title, None)
    best = rows[0]
    compressed = not results.methods[best].is_reference
    cautions = list(_cautions(results, best, limits)) if compressed else []
    return Card(title, results.names[best], tuple(cautions[:MOST_CAUTIONS]))


def _cautions(results: Results, row: int, limits: Limits) -> list[str]:
    """What speaks against a method, the most important first."""

    def quantity(of: Quantity) -> float:
        column = column_for(results, of.axis)
        return float(of.of(results, column)[row]) if column else np.nan

    capped = {each: bound for each, bound in limits.items() if each in CAPS}
    rest = {each: bound for each, bound in limits.items() if each not in CAPS}
    found = list(judge(results, capped)[row].reasons)
    if quantity(LEAST_RATIO) > 1 and quantity(Quantity(PEAK, "ratio")) >= 1:
        found.append("compresses the cache without a lower peak")
    if quantity(RUNTIME_RATIO) > 2:
        found.append("takes more than twice as long as BF16")
    found += judge(results, rest)[row].reasons
    if quantity(SSIM_LOSS) > BAD_SSIM_DROP and SSIM_LOSS not in rest:
        found.append(f"SSIM drop over {BAD_SSIM_DROP:.2f}")
    return found
