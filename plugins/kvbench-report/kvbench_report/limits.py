"""What a choice allows, and why a method does not fit.

A limit is about a figure itself, about the loss against BF16 (of SSIM, LPIPS or drift), or about
the ratio to BF16 (of runtime). A missing figure fails its limit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

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
    stand_in,
)
from kvbench_report.display import Display, display_name
from kvbench_report.results import Column, Floats, Results
from kvbench_report.stats import Estimate, differences, estimates


@frozen
class Quantity:
    """Something that a limit can be about: an axis itself, or set against BF16."""

    axis: Axis
    kind: Literal["value", "loss", "ratio"] = "value"

    def of(self, results: Results, column: Column) -> Floats:
        """Each method's, ``[method]``, NaN where missing; a loss is positive where BF16 is better.

        ``column`` stands for the axis.
        """
        levels = results.level(column.name)
        if self.kind == "value":
            return levels
        reference = results.reference
        baseline = levels[reference] if reference is not None else np.nan
        with np.errstate(invalid="ignore", divide="ignore"):
            if self.kind == "ratio":
                found = levels / baseline
            else:
                found = levels - baseline if column.better == "lower" else baseline - levels
        return np.where(np.isfinite(found), found, np.nan)

    def is_capped(self, column: Column) -> bool:
        """Whether a limit is an upper one."""
        return self.kind != "value" or column.better == "lower"


PEAK_CAP = Quantity(PEAK)
RUNTIME_CAP = Quantity(RUNTIME)
RUNTIME_RATIO = Quantity(RUNTIME, "ratio")
LEAST_RATIO = Quantity(RATIO)
LEAST_SSIM = Quantity(SSIM)
SSIM_LOSS = Quantity(SSIM, "loss")
MOST_LPIPS = Quantity(LPIPS)
LPIPS_LOSS = Quantity(LPIPS, "loss")
LEAST_PSNR = Quantity(PSNR)
DRIFT_LOSS = Quantity(DRIFT, "loss")
CAPS = (PEAK_CAP, RUNTIME_CAP, RUNTIME_RATIO)

Limits = Mapping[Quantity, float]
"""The bound on each quantity, in its column's unit."""

TOLERANCES: Limits = {SSIM_LOSS: 0.05, LPIPS_LOSS: 0.05, DRIFT_LOSS: 0.02, LEAST_RATIO: 1.10}
"""The study's default gate, which none of its own methods passes.

Each loss is in units of the axis's own column, and says nothing about a stand-in.
"""


@frozen
class Verdict:
    """Why a method does not fit; and what makes it doubtful that it does, a line each."""

    reasons: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()


def judge(results: Results, limits: Limits) -> list[Verdict]:
    """Each method against all limits."""
    checks = [_check(results, quantity, bound) for quantity, bound in limits.items()]
    return [
        Verdict(
            sum((check[row].reasons for check in checks), ()),
            sum((check[row].doubts for check in checks), ()),
        )
        for row in range(len(results.methods))
    ]


def quality_gate(results: Results, limits: Limits) -> tuple[Limits, list[str]]:
    """The limits on quality; without any, the study's tolerances of what it measured too.

    Also why one of its tolerances does not count, a line each.
    """
    own = {quantity: bound for quantity, bound in limits.items() if quantity not in CAPS}
    if own:
        return own, []
    gate, silent = {}, []
    for quantity, bound in TOLERANCES.items():
        column = column_for(results, quantity.axis)
        if column is not None and stand_in(quantity.axis, column):
            silent.append(
                f"{named(quantity, column)} is not judged: the study's tolerance of {bound:g} is "
                f"for the {quantity.axis.name} that it measured, on another scale"
            )
        elif column is not None:
            gate[quantity] = bound
    return gate, silent


def _check(results: Results, quantity: Quantity, bound: float) -> list[Verdict]:
    column = column_for(results, quantity.axis)
    if column is None:
        return [Verdict((f"no {quantity.axis.name}",))] * len(results.methods)
    values = quantity.of(results, column)
    write = writer(results, quantity, column)
    limit = f"{'over' if quantity.is_capped(column) else 'under'} {write(bound)}"
    sign = 1 if quantity.is_capped(column) else -1
    verdicts = []
    for value, around in zip(values, _intervals(results, quantity, column), strict=True):
        if np.isnan(value):
            verdicts.append(Verdict((f"no {named(quantity, column)}",)))
        elif sign * value > sign * bound:
            verdicts.append(Verdict((f"{named(quantity, column)} {write(value)}, {limit}",)))
        elif around and max(sign * around[0], sign * around[1]) > sign * bound:
            interval = f"[{write(around[0])}, {write(around[1])}]"
            doubt = f"{named(quantity, column)} {write(value)} {interval}, perhaps {limit}"
            verdicts.append(Verdict(doubts=(doubt,)))
        else:
            verdicts.append(Verdict())
    return verdicts


def stated(results: Results, limits: Limits) -> str:
    """The limits in words, such as ``SSIM at least 0.6000``."""
    texts = []
    for quantity, bound in limits.items():
        column = column_for(results, quantity.axis)
        if column is None:
            texts.append(f"a limit on {quantity.axis.name}")
        else:
            side = "at most" if quantity.is_capped(column) else "at least"
            write = writer(results, quantity, column)
            texts.append(f"{named(quantity, column)} {side} {write(bound)}")
    return ", ".join(texts)


def named(quantity: Quantity, column: Column) -> str:
    """Such as ``SSIM drop``, ``LPIPS increase``, ``runtime / BF16``."""
    name = display_name(column)
    if quantity.kind == "ratio":
        return f"{name} / BF16"
    fall = "drop" if column.better == "higher" else "increase"
    return f"{name} {fall}" if quantity.kind == "loss" else name


def writer(results: Results, quantity: Quantity, column: Column) -> Callable[[float], str]:
    """How the quantity's values are written, unit included."""
    if quantity.kind == "ratio":
        return lambda value: f"{value:.2f}"
    display = Display.of(column, results.values[column.name])
    return lambda value: f"{display.text(value)} {display.unit}".rstrip()


def _intervals(
    results: Results, quantity: Quantity, column: Column
) -> list[tuple[float, float] | None]:
    """The interval of each method's quantity, where there is one."""
    if quantity.kind == "ratio" or (quantity.kind == "loss" and results.reference is None):
        return [None] * len(results.methods)
    if quantity.kind == "value":
        return [_ends(each, 1) for each in estimates(results, column.name)]
    assert results.reference is not None
    sign = 1 if column.better == "lower" else -1
    return [_ends(each, sign) for each in differences(results, column.name, results.reference)]


def _ends(found: Estimate, sign: int) -> tuple[float, float] | None:
    if found.low is None or found.high is None:
        return None
    low, high = sorted((sign * found.low, sign * found.high))
    return low, high
