"""Noise levels of the few-step sampler (Self-Forcing, arXiv 2506.08009) and its two updates.

The path is ``x_t = (1 - sigma) * x0 + sigma * noise`` and the network predicts the flow
``noise - x0``. Levels come from a table of 1000 entries warped towards noise by ``shift``.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from torch import Tensor

TABLE_SIZE = 1000


@cache
def warped_sigmas(shift: float) -> Tensor:
    """The table, float32 ``[1000]``, from 1 down to ``shift / (999 + shift)``; shared."""
    import torch

    u = 1 - torch.arange(TABLE_SIZE, dtype=torch.float64) / TABLE_SIZE
    return (shift * u / (1 + (shift - 1) * u)).float()


@frozen(kw_only=True)
class Schedule:
    """Which levels a rollout visits.

    With ``warp`` the ``steps`` select entry ``1000 - step`` of the table; without, they are the
    timesteps themselves.
    """

    shift: float = 5.0
    steps: tuple[int, ...] = (1000, 750, 500, 250)
    warp: bool = True

    @property
    def _table(self) -> Tensor:
        return warped_sigmas(self.shift)

    @property
    def timesteps(self) -> tuple[float, ...]:
        """What the network is told at each denoising step, 0..1000."""
        if not self.warp:
            return tuple(float(step) for step in self.steps)
        return tuple(float(1000 * self._table[TABLE_SIZE - step]) for step in self.steps)

    @property
    def sigmas(self) -> tuple[float, ...]:
        """Noise level of each denoising step."""
        return tuple(self.sigma(timestep) for timestep in self.timesteps)

    def sigma(self, timestep: float) -> float:
        """Level of the table entry nearest to ``timestep``; for 0 the last entry, not 0."""
        return float(self._table[(1000 * self._table - timestep).abs().argmin()])


def to_x0(x: Tensor, flow: Tensor, sigma: float) -> Tensor:
    """Clean estimate from a noisy input and its predicted flow; float64 inside."""
    return (x.double() - sigma * flow.double()).to(x.dtype)


def renoise(x0: Tensor, noise: Tensor, sigma: float) -> Tensor:
    """``x0`` brought back to level ``sigma`` with fresh noise; float32 inside."""
    return ((1 - sigma) * x0.float() + sigma * noise.float()).to(x0.dtype)
