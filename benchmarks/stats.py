"""The few statistics that the pages need."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from attrs import frozen

RESAMPLES = 10_000


@frozen
class Interval:
    """A mean and the ends of its 95 % interval."""

    mean: float
    low: float
    high: float

    def text(self, digits: int) -> str:
        """``mean [low, high]``."""
        return f"{self.mean:.{digits}f} [{self.low:.{digits}f}, {self.high:.{digits}f}]"


def bootstrap(values: Sequence[float], *, seed: int) -> Interval:
    """The mean over prompts, and the percentiles 2.5 and 97.5 of resampled means.

    With one seed, all methods with as many prompts are resampled alike: intervals are paired.
    """
    known = np.asarray(values, dtype=np.float64)
    drawn = np.random.default_rng(seed).integers(len(known), size=(RESAMPLES, len(known)))
    low, high = np.percentile(known[drawn].mean(axis=1), [2.5, 97.5])
    return Interval(float(known.mean()), float(low), float(high))


def ranks(values: Sequence[float]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Ranks from 1; equal values share the mean of theirs."""
    known = np.asarray(values, dtype=np.float64)
    _, inverse, counts = np.unique(known, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[inverse]


def pearson(one: Sequence[float], other: Sequence[float]) -> float:
    """Product-moment correlation."""
    return float(np.corrcoef(one, other)[0, 1])


def spearman(one: Sequence[float], other: Sequence[float]) -> float:
    """Correlation of the ranks."""
    return pearson(list(ranks(one)), list(ranks(other)))
