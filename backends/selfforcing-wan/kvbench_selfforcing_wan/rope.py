"""Rotary embedding over (frame, row, column), as in Wan2.1 (arXiv 2503.20314).

Adjacent channel pairs of a head turn by ``position * theta``. Of ``dim / 2`` pairs the last two
thirds (rounded down) go to row and column and the rest, first in order, to time. Angles are
computed in float64; the rotation runs in float32, where the original uses complex128.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from attrs import frozen
from torch import Tensor

THETA = 10000.0


@frozen(eq=False)
class Rotary:
    """Unit complex numbers of a run of tokens, complex64 ``[token, 1, dim / 2]``."""

    turn: Tensor

    @classmethod
    def of(cls, angles: Tensor) -> Rotary:
        """From float64 angles."""
        return cls(torch.polar(torch.ones_like(angles), angles).to(torch.complex64))


def axis_pairs(head_dim: int) -> tuple[int, int, int]:
    """Channel pairs of a head that belong to time, row and column."""
    pairs = head_dim // 2
    return pairs - 2 * (pairs // 3), pairs // 3, pairs // 3


def axis_angles(positions: Tensor, pairs: int) -> Tensor:
    """Float64 ``[position, pair]``."""
    exponents = torch.arange(pairs, dtype=torch.float64, device=positions.device) / max(pairs, 1)
    return positions.double()[:, None] * THETA**-exponents


def grid_rotary(
    frames: Sequence[int],
    grid: tuple[int, int],
    head_dim: int,
    device: torch.device | str = "cpu",
) -> Rotary:
    """Rotary of whole latent frames at absolute positions ``frames``, tokens in raster order."""
    rows, columns = grid
    axes = (
        torch.tensor(list(frames), device=device),
        torch.arange(rows, device=device),
        torch.arange(columns, device=device),
    )
    time, row, column = (
        axis_angles(axis, pairs) for axis, pairs in zip(axes, axis_pairs(head_dim), strict=True)
    )
    shape = (len(frames), rows, columns)
    angles = torch.cat(
        [
            time[:, None, None].expand(*shape, -1),
            row[None, :, None].expand(*shape, -1),
            column[None, None, :].expand(*shape, -1),
        ],
        dim=-1,
    ).flatten(0, 2)[:, None]
    return Rotary.of(angles)


def rotate(x: Tensor, rotary: Rotary) -> Tensor:
    """Turn ``x [batch, token, head, dim]`` by the angles of its tokens."""
    pairs = torch.view_as_complex(x.float().unflatten(-1, (-1, 2)))
    return torch.view_as_real(pairs * rotary.turn).flatten(-2).to(x.dtype)


class TemporalRotation:
    """The time part of the rotation, for cache methods that want keys without it.

    Row and column stay in the keys: they do not change as the window slides.
    """

    def __init__(self, head_dim: int) -> None:
        self._head_dim = head_dim

    def rotate(self, x: Tensor, frames: Tensor) -> Tensor:
        """Move ``x [batch, token, head, dim]`` forward by ``frames [token]`` positions."""
        return rotate(x, self._rotary(frames, x.device))

    def unrotate(self, x: Tensor, frames: Tensor) -> Tensor:
        """Undo :meth:`rotate`."""
        return rotate(x, self._rotary(-frames, x.device))

    def _rotary(self, frames: Tensor, device: torch.device) -> Rotary:
        time, row, column = axis_pairs(self._head_dim)
        angles = axis_angles(frames.to(device), time)
        angles = torch.nn.functional.pad(angles, (0, row + column))[:, None]
        return Rotary.of(angles)
