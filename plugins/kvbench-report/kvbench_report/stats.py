"""Means over prompts with bootstrap intervals, differences paired by prompt.

Prompts are drawn with replacement, the same draw for every method, 10,000 times with a fixed seed;
an interval reaches from the 2.5th to the 97.5th percentile of the means of the draws (Efron and
Tibshirani, "An Introduction to the Bootstrap", 1993, section 13.3). One prompt gives no interval,
and few prompts give one that is rather too narrow.
"""

from __future__ import annotations

import warnings
from functools import lru_cache

import numpy as np
from attrs import frozen

from kvbench_report.results import Floats, Results

RESAMPLES = 10_000
SEED = 20260327
LEVEL = 95.0
KEPT = 128
"""Columns whose intervals are remembered: a report asks for the same ones many times."""


@frozen
class Estimate:
    """A mean over ``n`` prompts; ``low`` and ``high`` enclose it, or are ``None`` without interval.

    ``value`` is ``None`` where nothing was measured. Of a peak it is the maximum, which has no
    interval.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    n: int = 0

    @property
    def contains_zero(self) -> bool | None:
        """Whether the interval contains 0; ``None`` without interval."""
        if self.low is None or self.high is None:
            return None
        return self.low <= 0 <= self.high


@lru_cache(maxsize=KEPT)
def estimates(results: Results, column: str) -> list[Estimate]:
    """Each method's level in a column, with its interval."""
    levels = results.level(column)
    values = results.values[column]
    if results.columns[column].over_prompts == "max":
        counts = (~np.isnan(values)).sum(axis=1)
        return [_point(level, n) for level, n in zip(levels, counts, strict=True)]
    if not results.prompts:
        counts = np.array([method.prompts for method in results.methods])
        return [_point(level, n) for level, n in zip(levels, counts, strict=True)]
    return bootstrap(values)


@lru_cache(maxsize=KEPT)
def differences(results: Results, column: str, baseline: int) -> list[Estimate]:
    """Each method minus the method in row ``baseline``, over the prompts that both have.

    Where both are infinite, or one is, there is no difference. Peaks are subtracted as they are.
    """
    values = results.values[column]
    if results.columns[column].over_prompts == "max" or not results.prompts:
        levels = results.level(column)
        counts = (~np.isnan(values)).sum(axis=1)
        return [_point(v, n) for v, n in zip(_minus(levels, levels[baseline]), counts, strict=True)]
    return bootstrap(_minus(values, values[baseline]))


def bootstrap(values: Floats) -> list[Estimate]:
    """Means over the last axis of ``[row, prompt]``, NaN left out, with intervals."""
    if not values.size:
        return [Estimate(None) for _ in values]
    known = ~np.isnan(values)
    counts = known.sum(axis=1)
    tail = (100 - LEVEL) / 2
    with warnings.catch_warnings(), np.errstate(invalid="ignore"):
        # A row without any value has no mean and no interval.
        warnings.simplefilter("ignore", RuntimeWarning)
        means = np.where(known, values, 0.0).sum(axis=1) / counts
        low, high = np.nanpercentile(drawn_means(values), [tail, 100 - tail], axis=0)
    return [
        Estimate(float(mean), float(low[i]), float(high[i]), int(n))
        if n > 1 and np.isfinite(mean)
        else _point(mean, n)
        for i, (mean, n) in enumerate(zip(means, counts, strict=True))
    ]


def drawn_means(values: Floats, draws: int = RESAMPLES, seed: int = SEED) -> Floats:
    """Means of ``[row, prompt]`` over draws of prompts, ``[draw, row]``.

    NaN where a draw has no prompt of the row, or a value is infinite. Equal seeds draw alike.
    """
    known = ~np.isnan(values)
    weights = _draws(values.shape[1], seed)[:draws]
    with np.errstate(invalid="ignore"):
        means: Floats = (weights @ np.where(known, values, 0.0).T) / (weights @ known.T)
    return means


def drawn_levels(results: Results, column: str, draws: int = RESAMPLES, seed: int = SEED) -> Floats:
    """Each method's level over draws of prompts, ``[draw, method]``; a peak stays what it is."""
    if results.columns[column].over_prompts == "max" or not results.prompts:
        return np.tile(results.level(column), (draws, 1))
    return drawn_means(results.values[column], draws, seed)


@lru_cache(maxsize=8)
def _draws(prompts: int, seed: int) -> Floats:
    """How often each prompt is in each draw, ``[draw, prompt]``."""
    random = np.random.default_rng(seed)
    return random.multinomial(prompts, np.full(prompts, 1 / prompts), RESAMPLES).astype(np.float64)


def _minus(values: Floats, baseline: Floats | np.float64) -> Floats:
    with np.errstate(invalid="ignore"):
        found = values - baseline
    return np.where(np.isfinite(found), found, np.nan)


def _point(value: float, n: int) -> Estimate:
    return Estimate(None if np.isnan(value) else float(value), n=int(n))
