"""Videos in memory that metrics are checked on; imports no torch, as worker processes do not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
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


def scored_elsewhere(metric: str, noise: float) -> dict[str, float | None]:
    """The values of a registered metric, found by a process that knows nothing yet.

    Raises:
        AssertionError: the process failed.
    """
    program = f"from {__name__} import print_values; print_values({metric!r}, {noise!r})"
    done = subprocess.run(  # noqa: S603 - its own code
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == 0, f"{metric} cannot score in another process: {done.stderr[-2000:]}"
    values: dict[str, float | None] = json.loads(done.stdout.splitlines()[-1])
    return values


def print_values(metric: str, noise: float) -> None:
    """The other process's part of :func:`scored_elsewhere`."""
    values = scored(build_registry().metric(metric), moving_square(noise)).values
    sys.stdout.write(f"\n{json.dumps(dict(values))}\n")
