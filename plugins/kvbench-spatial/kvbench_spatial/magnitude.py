"""How much the values at each place of the picture change from frame to frame."""

from __future__ import annotations

import torch
from torch import Tensor


class Magnitude:
    """Running mean and variance, over all frames so far, of ``mean |V|`` at each position.

    Held: two float32 numbers per position of a frame, whatever the length of the rollout.
    """

    def __init__(self, positions: int, device: torch.device) -> None:
        self.frames = 0
        self._mean = torch.zeros(positions, device=device)
        self._squares = torch.zeros(positions, device=device)

    def add(self, v: Tensor) -> None:
        """Count in whole frames of values, ``[batch, token, head, dim]``."""
        positions = len(self._mean)
        frames = v.shape[1] // positions
        by_frame = v.abs().view(v.shape[0], frames, positions, *v.shape[2:])
        magnitude = by_frame.mean(dim=(0, 3, 4), dtype=torch.float32)
        mean = magnitude.mean(dim=0)
        # Deviations from the means are summed, not squares: those would cancel where a position
        # hardly changes, which is what this is about.
        self._squares += (magnitude - mean).square().sum(dim=0)
        change, total = mean - self._mean, self.frames + frames
        self._squares += change.square() * (self.frames * frames / total)
        self._mean += change * (frames / total)
        self.frames = total

    def variance(self) -> Tensor:
        """Population variance over frames, float32 ``[position]``."""
        return self._squares / self.frames
