"""Videos in memory."""

from __future__ import annotations

import numpy as np
import pytest
from attrs import define


@define
class Video:
    """Frames, copied whenever they are read."""

    frames: list
    fps: float = 8.0

    def __iter__(self):
        return (frame.copy() for frame in self.frames)

    def __len__(self):
        return len(self.frames)


@pytest.fixture(scope="session")
def clips(frames=10, height=64, width=96):
    """A moving texture, with noise and without: ``(video, reference)``."""
    rng = np.random.default_rng(0)
    texture = rng.random((height // 4, width // 4 + frames, 3)).repeat(4, 0).repeat(4, 1)
    clean = [200 * texture[:, 2 * i : 2 * i + width] + 20 for i in range(frames)]
    noisy = [frame + rng.normal(0, 25, frame.shape) for frame in clean]
    return tuple(
        Video([frame.clip(0, 255).astype(np.uint8) for frame in some]) for some in (noisy, clean)
    )
