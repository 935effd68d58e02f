"""Videos in memory."""

from __future__ import annotations

import numpy as np
import pytest

from kvbench_core.conformance.clips import Clip


@pytest.fixture(scope="session")
def clips(frames=10, height=64, width=96):
    """A moving texture, with noise and without: ``(video, reference)``."""
    rng = np.random.default_rng(0)
    texture = rng.random((height // 4, width // 4 + frames, 3)).repeat(4, 0).repeat(4, 1)
    clean = [200 * texture[:, 2 * i : 2 * i + width] + 20 for i in range(frames)]
    noisy = [frame + rng.normal(0, 25, frame.shape) for frame in clean]
    return tuple(
        Clip(tuple(frame.clip(0, 255).astype(np.uint8) for frame in some), fps=8.0)
        for some in (noisy, clean)
    )
