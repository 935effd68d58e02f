"""Noise that depends on a seed and a name only: not on machine, device, or order of drawing.

Every pass draws from its own named stream, so two cache policies always see the same noise, a
resumed rollout equals an uninterrupted one, and the global generators stay untouched.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence

import torch
from attrs import frozen
from torch import Tensor

_MANTISSA = 1 << 53


def normal(seed: int, name: str, shape: Sequence[int]) -> Tensor:
    """Standard normal float32 values on the CPU: the first of the stream ``(seed, name)``."""
    return next(normals(seed, name, shape))


def normals(seed: int, name: str, shape: Sequence[int]) -> Iterator[Tensor]:
    """One draw after another from the stream ``(seed, name)``, without end.

    Box-Muller in float64 on the integers of a Mersenne Twister: rounding to float32 hides the
    last-digit differences between math libraries. Draws of even sizes join to larger ones.
    """
    digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)
    while True:
        yield _draw(generator, shape)


def _draw(generator: torch.Generator, shape: Sequence[int]) -> Tensor:
    count = math.prod(shape)
    bits = torch.empty((count + 1) // 2, 2, dtype=torch.int64)
    bits.random_(0, _MANTISSA, generator=generator)
    uniform = (bits.double() + 0.5) / _MANTISSA
    radius = torch.sqrt(-2 * torch.log(uniform[:, 0]))
    angle = 2 * math.pi * uniform[:, 1]
    pairs = torch.stack((radius * torch.cos(angle), radius * torch.sin(angle)), dim=1)
    return pairs.flatten()[:count].float().reshape(tuple(shape))


@frozen(kw_only=True)
class NoiseStreams:
    """The noise of one rollout: ``shape`` is (channel, height, width) of a latent frame."""

    seed: int
    shape: tuple[int, int, int]

    def initial(self, frames: int) -> Iterator[Tensor]:
        """``[frame, channel, height, width]``, ``frames`` at a time, without end.

        A longer video begins with the same noise, however it is cut into chunks.
        """
        return normals(self.seed, "initial", (frames, *self.shape))

    def fresh(self, chunk: int, denoise_index: int, frames: int) -> Tensor:
        """Re-noising before pass ``denoise_index`` of ``chunk``, shaped like a chunk."""
        return normal(self.seed, f"chunk {chunk} pass {denoise_index}", (frames, *self.shape))
