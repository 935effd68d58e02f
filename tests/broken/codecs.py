"""Wrong codecs, each a small change of :class:`Sym4`."""

from __future__ import annotations

import itertools

import torch
from attrs import frozen
from torch import Tensor

from broken.base import Nibbles, Sym4, flat, grouped
from kvbench_core.cache import ErrorBound, Planes


@frozen(eq=False)
class Wide(Planes):
    codes: Tensor
    scale: Tensor


@frozen
class Unpacked(Sym4):
    """One 4-bit code per byte."""

    def encode(self, x):
        planes = super().encode(x)
        codes = torch.stack([planes.codes & 15, planes.codes >> 4], dim=3).flatten(2, 3)
        return Wide(codes.to(torch.int8) - 8, planes.scale)

    def decode(self, planes, out):
        flat(planes.codes.float() * planes.scale.float().unsqueeze(2), out)


@frozen
class CodesAsFloats(Unpacked):
    """4-bit codes in a bf16 tensor."""

    def encode(self, x):
        planes = super().encode(x)
        return Wide(planes.codes.bfloat16(), planes.scale)


@frozen(eq=False)
class Shifted(Nibbles):
    zero: Tensor


@frozen
class ClampedZeroPoint(Sym4):
    """Asymmetric codes whose zero point has to be one of them, as in the study's KIVI."""

    def encode(self, x):
        groups = grouped(x)
        low, high = groups.amin(2), groups.amax(2)
        scale = ((high - low) / 15).bfloat16()
        step = torch.where(scale > 0, scale, 1).float().unsqueeze(2)
        zero = (-low.unsqueeze(2) / step).round().clamp(0, 15)
        codes = ((groups / step).round() + zero).clamp(0, 15).to(torch.uint8)
        packed = codes[:, :, 0::2] | codes[:, :, 1::2] << 4
        return Shifted(packed, scale, zero.squeeze(2).bfloat16())

    def decode(self, planes, out):
        codes = torch.stack([planes.codes & 15, planes.codes >> 4], dim=3).flatten(2, 3)
        steps = codes.float() - planes.zero.float().unsqueeze(2)
        flat(steps * planes.scale.float().unsqueeze(2), out)


@frozen
class DividesByZero(Sym4):
    """No guard for a group without range."""

    def encode(self, x):
        groups = grouped(x)
        scale = self.scale(groups)
        scale = scale / (scale != 0)
        codes = (groups / scale.float().unsqueeze(2)).nan_to_num().round().clamp(-7, 7) + 8
        codes = codes.to(torch.uint8)
        return Nibbles(codes[:, :, 0::2] | codes[:, :, 1::2] << 4, scale)


CALLS = itertools.count()


@frozen
class NonDeterministic(Sym4):
    """Stochastic rounding from a seed that is never the same."""

    def round(self, x):
        generator = torch.Generator().manual_seed(next(CALLS))
        return (x + torch.rand(x.shape, generator=generator) - 0.5).round()

    def error_bound(self):
        return ErrorBound(relative=0.6)


@frozen
class GlobalRandom(NonDeterministic):
    """Stochastic rounding from the global generator."""

    def round(self, x):
        return (x + torch.rand_like(x) - 0.5).round()


@frozen
class Mutating(Sym4):
    """Clips its argument in place."""

    def encode(self, x):
        return super().encode(x.clamp_(-3, 3) if x.abs().max() < 5 else x)


@frozen(eq=False)
class Values(Planes):
    values: Tensor


@frozen
class KeepsView(Sym4):
    """Keeps what it was handed."""

    group_tokens = 1

    def encode(self, x):
        return Values(x)

    def decode(self, planes, out):
        out.copy_(planes.values[:, : out.shape[1]])


@frozen
class OneScalePerCall(Sym4):
    """A scale for all tokens of an append, promised to be independent of chunks."""

    def scale(self, groups):
        largest = groups.abs().amax((1, 2), keepdim=True).squeeze(2)
        return (largest / 7).bfloat16().expand(-1, groups.shape[1], -1, -1).contiguous()

    def error_bound(self):
        return ErrorBound(relative=0.9)


@frozen
class LooksAtValues(Sym4):
    """Branches on the values, which the meta device does not have."""

    def scale(self, groups):
        return super().scale(groups) if groups.abs().max().item() >= 0 else groups[:, :, 0]


@frozen
class TokensLast(Sym4):
    """Planes whose groups are not on the second axis."""

    group_tokens = 1

    def encode(self, x):
        return Values(x.clone().transpose(1, 2))

    def decode(self, planes, out):
        out.copy_(planes.values.transpose(1, 2)[:, : out.shape[1]])


@frozen
class PromisesNothing(Sym4):
    def error_bound(self):
        return ErrorBound(relative=1.0)


@frozen
class Shrinking(Sym4):
    """A correct codec (the largest value is clipped), but coding twice is not coding once."""

    def scale(self, groups):
        return (groups.abs().amax(2) / 7.5).bfloat16()

    def error_bound(self):
        return ErrorBound(relative=0.35)
