"""Asymmetric uniform quantisation: a scale and an offset for each channel or each token."""

from __future__ import annotations

import math
from typing import Any, ClassVar, Literal

import torch
from attrs import frozen
from torch import Tensor

from kvbench_core.cache import ErrorBound, Planes
from kvbench_quant.fused import Levels, Origin, Uniform
from kvbench_quant.packing import store, unpack
from kvbench_quant.symmetric import LARGEST_SCALE, quotient, scale_limits
from kvbench_quant.uniform import UniformCodec

LARGEST = LARGEST_SCALE  # so that minimum + qmax * scale is finite in fp16 too


@frozen(eq=False)
class AffinePlanes(Planes):
    """``codes`` packed, or uint8 or int16 ``[batch, group, token, head, dim]`` in containers;

    ``scale`` and ``offset`` fp16, ``[batch, group, 1, head, dim]`` per channel or
    ``[batch, group, token, 1, 1]`` per token.
    """

    codes: Tensor
    scale: Tensor
    offset: Tensor


@frozen
class Affine(UniformCodec):
    """Round to nearest on ``2^bits`` levels from the smallest value to the largest.

    ``per="channel"`` takes ``group_tokens`` tokens of one head and channel together,
    ``per="token"`` all heads and channels of one token; for each such block, in float32::

        m    = fp16(min x)
        s    = fp16(max(max x - m, 0) / qmax)                 qmax = 2^bits - 1
        code = clamp(round_half_even((x - m) / s), 0, qmax)   0 where s = 0
        x^   = m + code * s

    ``m`` and ``s`` are the stored ones, so that coding makes up for their rounding. A block of
    equal values decodes to that value rounded to fp16, or better. Values beyond 65280 in magnitude
    saturate there. Codes take ``bits`` bits (2 to 8), or ``container_bits`` where they are not
    packed; ``m`` and ``s`` take ``32 / group_tokens`` bits per element (per channel) or
    ``32 / (heads * dim)`` (per token).
    """

    bits: int = 4
    group_tokens: int = 16
    per: Literal["channel", "token"] = "channel"
    container_bits: int | None = None

    @property
    def qmax(self) -> int:
        return (1 << self.bits) - 1

    def encode_groups(self, groups: Tensor) -> AffinePlanes:
        clipped = groups.clamp(-LARGEST, LARGEST)
        low, high = self._range(clipped)
        low = low.half()
        scale = quotient(high.float().sub_(low).clamp_(min=0), self.qmax).half()
        levels = clipped.float().sub_(low.float())
        return self._planes(levels.div_(scale.float().masked_fill_(scale == 0, 1)), scale, low)

    def _range(self, groups: Tensor) -> tuple[Tensor, Tensor]:
        dims = (2,) if self.per == "channel" else (3, 4)
        return groups.amin(dims, keepdim=True), groups.amax(dims, keepdim=True)

    def _planes(self, levels: Tensor, scale: Tensor, offset: Tensor) -> AffinePlanes:
        codes = levels.round_().clamp_(0, self.qmax).to(torch.uint8)
        return AffinePlanes(store(codes, self.bits, self.container_bits), scale, offset)

    origin: ClassVar[Origin] = Origin.OFFSET
    """What ``offset`` is."""

    @property
    def uniform(self) -> Uniform | None:
        if self.container_bits is not None:
            return None
        return Uniform(
            bits=self.bits,
            group_tokens=self.group_tokens,
            origin=self.origin,
            per_token=self.per == "token",
        )

    def limits(self, dtype: torch.dtype) -> tuple[float, float] | None:
        return 0.0, LARGEST

    def planes(self, levels: Levels) -> AffinePlanes:
        assert levels.origin is not None
        return AffinePlanes(levels.codes, levels.step, levels.origin)

    def term(self, planes: Planes, uniform: Uniform) -> Levels:
        assert isinstance(planes, AffinePlanes)
        return Levels(uniform, planes.codes, planes.scale, planes.offset)

    def decode_groups(self, planes: Planes, out: Tensor) -> None:
        assert isinstance(planes, AffinePlanes)
        codes, step, zero = planes.codes, planes.scale.float(), planes.offset.float()
        if self.origin is Origin.ZERO_CODE:
            zero = -zero * step  # exact in float32, and so is (code - z) * s
        if self.container_bits is None:
            codes, step = unpack(codes, self.bits), step / (1 << (8 - self.bits))
        torch.addcmul(zero, codes, step, out=out)

    def error_bound(self) -> ErrorBound:
        """What holds for any tensor of bf16, fp16 or float32, decoded to its own dtype or bf16.

        Let a block's values lie within ``[m, M]`` and not exceed ``p`` in magnitude. An element
        errs by at most ``s / 2`` where ``s = (M - m) / qmax``; the fp16 rounding of ``m`` and
        ``qmax s`` may leave an end ``2^-11 (|m| + M - m) <= 3 * 2^-11 p`` away, and below fp16's
        normal range ``(qmax + 1) 2^-25`` further. Rounding to bf16 adds ``2^-8 |x|``.

        Per channel, smallest and largest element are coded without error, and
        ``m^2 + M^2 >= (M - m)^2 / 2``: for the others, error^2 is at most
        ``(group_tokens - 2) / (2 qmax^2)`` times norm^2; ``3 * 2^-11 p`` for each of
        ``group_tokens`` elements weighs at most ``sqrt(group_tokens)`` times that against a norm
        of ``p`` or more. Per token, where a block may have thousands of elements, no useful bound
        holds against the norm: ``M - m <= 2 p`` bounds each element's error against the largest.
        """
        rounding, end = 2**-8, 3 * 2**-11
        absolute = (self.qmax + 1) * 2**-24
        if self.per == "token":
            peak = 1 / self.qmax + end
            return ErrorBound(relative=rounding, peak=peak, absolute=absolute, largest=LARGEST)
        inner = math.sqrt((self.group_tokens - 2) / 2) / self.qmax
        relative = inner + rounding + end * math.sqrt(self.group_tokens)
        return ErrorBound(relative=relative, absolute=absolute, largest=LARGEST)


@frozen
class ZeroPointAffine(Affine):
    """The same with zero among the levels: small values in a wide block vanish, and no more.

    ::

        s    = fp16((max(max x, 0) - min(min x, 0)) / qmax)
        z    = round(-min(min x, 0) / s)
        code = clamp(round(x / s + z), 0, qmax)      0 where s = 0
        x^   = (code - z) * s

    ``z`` is a whole number from 0 to ``qmax``, kept as fp16. Values beyond 32640 in magnitude
    saturate there.
    """

    origin: ClassVar[Origin] = Origin.ZERO_CODE

    def limits(self, dtype: torch.dtype) -> tuple[float, float] | None:
        return 0.0, LARGEST / 2

    def encode_groups(self, groups: Tensor) -> AffinePlanes:
        clipped = groups.clamp(-LARGEST / 2, LARGEST / 2)
        low, high = self._range(clipped)
        low, high = low.float().clamp_(max=0), high.float().clamp_(min=0)
        scale = quotient(high.sub_(low), self.qmax).half()
        step = scale.float().masked_fill_(scale == 0, 1)
        zero_point = low.neg_().div_(step).round_().clamp_(max=self.qmax)
        levels = clipped.float().div_(step).add_(zero_point)
        return self._planes(levels, scale, zero_point.half())

    def error_bound(self) -> ErrorBound:
        """With ``p`` the largest magnitude, ``s <= 2 p / qmax`` and an element errs by ``s / 2``.

        Rounding ``s`` to fp16 moves the ends of the range by ``2^-11`` of ``2 p``.
        """
        return ErrorBound(
            relative=2**-8,
            peak=1 / self.qmax + 2**-10,
            absolute=(self.qmax + 1) * 2**-24,
            largest=LARGEST / 2,
        )


@frozen
class ClampedAffine(ZeroPointAffine):
    """The published study's arithmetic: an integer zero point that is clamped to the codes' range.

    ::

        s    = max((max x - min x) / qmax, 1e-8)        all in the dtype of x
        z    = clamp(round(-min x / s), 0, qmax)
        code = clamp(round(x / s + z), 0, qmax)
        x^   = (code - z) * fp16(s)

    The range that it holds includes zero and is as wide as the block's own spread: a block of one
    sign that lies further than that from zero saturates, and a constant one decodes to 0.
    """

    def limits(self, dtype: torch.dtype) -> None:
        return None

    def encode_groups(self, groups: Tensor) -> AffinePlanes:
        low, high = self._range(groups)
        limits = scale_limits(groups.dtype, self.qmax)
        scale = quotient(high - low, self.qmax).clamp_(*limits)
        zero_point = low.neg_().div_(scale).round_().clamp_(0, self.qmax)
        levels = torch.div(groups, scale).add_(zero_point)
        return self._planes(levels, scale.half(), zero_point.half())

    def error_bound(self) -> ErrorBound:
        """An element that saturates errs by its own magnitude or less, any other by ``s`` or less.

        That is ``2 p / qmax`` at most, to which coding in bf16 adds a few roundings of a level's
        number (up to ``2 qmax``), each of ``2^-9``.
        """
        return ErrorBound(
            relative=1 + 2**-7,
            peak=2 / self.qmax + 2**-5,
            absolute=self.qmax * 2**-24,
            largest=LARGEST,
        )


ZERO_POINTS = ("exact", "clamped")
"""Choices of a method's ``zero_point``."""


def asymmetric(per: Literal["channel", "token"], zero_point: str, **settings: Any) -> Affine:
    """The coder of keys (per channel) or values (per token).

    A token's block is so wide, and so dominated by its loudest channels, that zero has to be a
    level; a channel's may lie anywhere.
    """
    if zero_point == "clamped":
        return ClampedAffine(per=per, **settings)
    return Affine(**settings) if per == "channel" else ZeroPointAffine(per=per, **settings)
