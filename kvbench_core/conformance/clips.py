"""Videos in memory that metrics are checked on; imports no torch, as worker processes do not."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from attrs import frozen

from kvbench_core.metric import Frame, Metric, Scores
from kvbench_core.registry import build_registry

PROMPT = "a red ball rolls right"
FRAMES, HEIGHT, WIDTH = 6, 48, 64


@frozen(eq=False)
class Clip:
    """A video in memory, decoded afresh whenever it is read."""

    frames: tuple[Frame, ...]
    fps: float = 16.0

    def __iter__(self) -> Iterator[Frame]:
        return iter(frame.copy() for frame in self.frames)

    def __len__(self) -> int:
        return len(self.frames)


class SharedClip(Clip):
    """Hands out its own frames, so that a change to one shows."""

    def __iter__(self) -> Iterator[Frame]:
        return iter(self.frames)


def moving_square(noise: float = 0.0, brightness: int = 60) -> Clip:
    """A bright square that moves over a gradient, with Gaussian noise."""
    random = np.random.default_rng(0)
    ramp = np.linspace(0, brightness, WIDTH)[None, :, None] + np.zeros((HEIGHT, 1, 3))
    frames = []
    for index in range(FRAMES):
        frame = ramp.copy()
        frame[16:32, 4 * index : 4 * index + 16] = (200, 40, 40)
        frame += noise * random.standard_normal(frame.shape)
        frames.append(frame.clip(0, 255).astype(np.uint8))
    return Clip(tuple(frames))


def scored(metric: Metric, video: Clip) -> Scores:
    """What the metric says of a clip, beside the same frames without noise if it compares."""
    reference = Clip(moving_square().frames[: len(video)]) if metric.needs_reference else None
    return metric.score(video, reference, PROMPT)


def scored_anew(metric: str, noise: float) -> dict[str, float | None]:
    """The values of a registered metric, for a process that knows nothing yet."""
    return dict(scored(build_registry().metric(metric), moving_square(noise)).values)
