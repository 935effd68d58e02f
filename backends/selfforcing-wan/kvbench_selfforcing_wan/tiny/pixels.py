"""An exact stand-in for a VAE: 8 x 8 block cosine transform, cut to 16 channels.

Ten coefficients of brightness and three of either colour axis of every 8 x 8 block, each scaled to
unit variance over the tiny world. The 16 basis pictures are orthogonal, so decoding inverts
encoding exactly inside their span. One latent frame is one video frame; frames are independent.
"""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor

BLOCK = 8
_LUMA = ((0, 0), (0, 1), (1, 0), (2, 0), (1, 1), (0, 2), (0, 3), (1, 2), (2, 1), (3, 0))
_CHROMA = ((0, 0), (0, 1), (1, 0))
_MEAN = (3.961, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0.047, 0, 0)
_STD = (
    *(1.6035, 0.4491, 0.4695, 0.2456, 0.1471, 0.2327, 0.1351, 0.0866, 0.0767, 0.1377),
    *(0.8209, 0.1682, 0.1682, 0.6980, 0.1467, 0.1417),
)


def encode(frames: Tensor) -> Tensor:
    """``[..., row, column, rgb]`` in 0..1 to latents ``[..., channel, row / 8, column / 8]``."""
    rows, columns = frames.shape[-3] // BLOCK, frames.shape[-2] // BLOCK
    blocks = frames.unflatten(-3, (rows, BLOCK)).unflatten(-2, (columns, BLOCK))
    # [..., row, y, column, x, rgb] -> [..., row, column, y, x, rgb]
    blocks = blocks.transpose(-4, -3).flatten(-3)
    basis, mean, std = (t.to(frames.device) for t in _constants())
    return ((blocks @ basis.T - mean) / std).movedim(-1, -3)


def decode(latents: Tensor) -> Tensor:
    """The inverse; float32 frames, not clamped."""
    basis, mean, std = (t.to(latents.device) for t in _constants())
    blocks = (latents.float().movedim(-3, -1) * std + mean) @ basis
    blocks = blocks.unflatten(-1, (BLOCK, BLOCK, 3))
    # [..., row, column, y, x, rgb] -> [..., row, y, column, x, rgb]
    return blocks.transpose(-4, -3).flatten(-5, -4).flatten(-3, -2)


def to_uint8(frames: Tensor) -> Tensor:
    """Frames in 0..1 to bytes."""
    return (frames.clamp(0, 1) * 255).round().to(torch.uint8)


@cache
def _constants() -> tuple[Tensor, Tensor, Tensor]:
    """Orthonormal basis ``[channel, 192]``, mean and standard deviation ``[channel]``."""
    # Orthonormal axes of colour: grey, red against the rest, green against blue.
    grey = torch.full((3,), 1 / math.sqrt(3), dtype=torch.float64)
    red = torch.tensor([1.0, -0.5, -0.5], dtype=torch.float64) * math.sqrt(2 / 3)
    blue = torch.tensor([0.0, 1.0, -1.0], dtype=torch.float64) / math.sqrt(2)
    pairs = [(grey, uv) for uv in _LUMA] + [(c, uv) for c in (red, blue) for uv in _CHROMA]
    rows = [torch.einsum("y,x,c->yxc", _cosine(v), _cosine(u), c) for c, (v, u) in pairs]
    basis = torch.stack([row.flatten() for row in rows]).float()
    return basis, torch.tensor(_MEAN, dtype=torch.float32), torch.tensor(_STD)


def _cosine(frequency: int) -> Tensor:
    """Orthonormal cosine of 8 samples, float64."""
    samples = (torch.arange(BLOCK, dtype=torch.float64) + 0.5) * math.pi * frequency / BLOCK
    return torch.cos(samples) * math.sqrt((2 if frequency else 1) / BLOCK)
