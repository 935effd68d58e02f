"""How much a latent frame matters: the order in which tiers choose."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from kvbench_core.geometry import CacheGeometry

SMALLEST = 1e-6


class Score(ABC):
    """One layer's scores during one rollout."""

    needs_summaries: ClassVar[bool] = False

    @abstractmethod
    def scores(self, frames: int, summaries: Tensor | None) -> list[float]:
        """One score per latent frame; higher stays longer. ``summaries`` is ``[frame, head]``."""


class Recency(Score):
    """Newer is better: what the published score comes to where final frames never change.

    Frames in the attention sink rank above all others, and those that no later chunk can read
    below.
    """

    def __init__(self, geometry: CacheGeometry) -> None:
        self._geometry = geometry

    def scores(self, frames: int, summaries: Tensor | None) -> list[float]:
        geometry = self._geometry
        window = geometry.window_frames
        newest = 0 if window is None else frames + geometry.chunk_frames - window
        sink = geometry.sink_frames
        return [
            frame + frames * (2 * (frame < sink) + (frame >= newest + sink))
            for frame in range(frames)
        ]


class PublishedChange(Score):
    """The study's ``alpha delta[c] + beta c / (n - 1)``, misalignment included.

    ``delta`` compares each frame's summary with the previous plan's, both lists aligned at their
    ends: mean over heads of the absolute difference, over the larger of 1e-6 and the mean over
    heads of the previous summary. Frames without a partner, the oldest, get 1.
    """

    needs_summaries = True

    def __init__(self, alpha: float, beta: float) -> None:
        self._alpha, self._beta = alpha, beta
        self._previous: Tensor | None = None

    def scores(self, frames: int, summaries: Tensor | None) -> list[float]:
        assert summaries is not None
        delta = self._delta(summaries)
        self._previous = summaries.clone()
        last = max(1, frames - 1)
        return [
            self._alpha * change + self._beta * frame / last for frame, change in enumerate(delta)
        ]

    def _delta(self, now: Tensor) -> list[float]:
        frames = len(now)
        common = 0 if self._previous is None else min(frames, len(self._previous))
        if not common or now.is_meta:
            return [1.0] * frames
        assert self._previous is not None
        before = self._previous[-common:]
        change = (now[-common:] - before).abs().mean(1) / before.mean(1).clamp(min=SMALLEST)
        return [1.0] * (frames - common) + change.tolist()


def summary(k: Tensor, v: Tensor) -> Tensor:
    """``mean |K| + mean |V|`` over the keys of each frame, ``[frame, head]`` in float32.

    ``k`` and ``v`` are ``[batch, frame, key, head, dim]``.
    """
    return _mean_size(k) + _mean_size(v)


def _mean_size(x: Tensor) -> Tensor:
    # Divided first: a sum over bf16's largest values overflows float32.
    count = x.shape[0] * x.shape[2] * x.shape[4]
    return torch.abs(x).float().div_(count).sum((0, 2, 4))
