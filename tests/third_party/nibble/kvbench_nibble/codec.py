"""Symmetric 4-bit codes with one scale per token, head and run of channels.

``x ~ (code - 8) scale`` with codes 1 to 15 and ``scale = max |x| / 7`` over the run. Stored per
element: 4 bits of code and ``16 / channels`` bits of bf16 scale, 4.5 in all by default.
"""

from __future__ import annotations

import torch
from attrs import field, frozen
from torch import Tensor

from kvbench_core.cache import ErrorBound, KVCodec, Planes, TensorCodec
from kvbench_core.errors import ParameterError
from kvbench_core.geometry import CacheGeometry
from kvbench_core.params import one_of


@frozen(eq=False)
class NibblePlanes(Planes):
    """``codes`` uint8 and ``scale`` bf16 ``[batch, token, head, run, ...]``, two codes a byte."""

    codes: Tensor
    scale: Tensor


@frozen
class Nibble(TensorCodec):
    """Codes K or V; ``channels`` neighbouring channels share a scale."""

    name = "nibble"

    channels: int = field(default=32, validator=one_of(8, 16, 32, 64, 128))

    def check(self, geometry: CacheGeometry) -> None:
        """Refuse a head that cannot be divided into runs."""
        if geometry.head_dim % self.channels:
            rule = f"a divisor of the head dimension {geometry.head_dim}"
            raise ParameterError(self.name, "channels", rule, self.channels)

    def encode(self, x: Tensor) -> NibblePlanes:
        """Code ``[batch, token, head, dim]``."""
        runs = x.float().unflatten(-1, (-1, self.channels))
        scale = (runs.abs().amax(-1) / 7).bfloat16()
        step = torch.where(scale > 0, scale, 1).float().unsqueeze(-1)
        codes = ((runs / step).round().clamp(-7, 7) + 8).to(torch.uint8)
        return NibblePlanes(codes[..., 0::2] | codes[..., 1::2] << 4, scale)

    def decode(self, planes: Planes, out: Tensor) -> None:
        """Write the first ``out.shape[1]`` tokens into ``out``."""
        assert isinstance(planes, NibblePlanes)
        codes = torch.stack([planes.codes & 15, planes.codes >> 4], dim=-1).flatten(-2)
        tokens = ((codes.float() - 8) * planes.scale.float().unsqueeze(-1)).flatten(-2)
        out.copy_(tokens[:, : out.shape[1]])

    def error_bound(self) -> ErrorBound:
        """Half a step in every element but the largest of the run; bf16 rounding on top."""
        others = self.channels - 1
        return ErrorBound(relative=(others / (14**2 + others)) ** 0.5 + 0.01, largest=3e38)


def nibble(channels: int = 32) -> KVCodec:
    """The codec for keys and for values."""
    return KVCodec(key=Nibble(channels), value=Nibble(channels))
