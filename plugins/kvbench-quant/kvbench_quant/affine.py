"""Asymmetric uniform quantisation: a scale and an offset for each channel or each token."""

from __future__ import annotations

import math
from typing import Literal

import torch
from attrs import frozen
from torch import Tensor

from kvbench_core.cache import ErrorBound, Planes
from kvbench_quant.grouped import GroupedCodec
from kvbench_quant.packing import load, store
from kvbench_quant.symmetric import LARGEST_SCALE, SCALE_FLOOR

LARGEST = LARGEST_SCALE  # so that minimum + qmax * scale is finite in fp16 too


@frozen(eq=False)
class AffinePlanes(Planes):
    """``codes`` as :func:`~kvbench_quant.packing.store` keeps them; ``scale`` and ``offset`` fp16,

    ``[batch, group, 1, head, dim]`` per channel or ``[batch, group, token, 1, 1]`` per token.
    """

    codes: Tensor
    scale: Tensor
    offset: Tensor


@frozen
class Affine(GroupedCodec):
    """Round to nearest on ``2^bits`` levels from the smallest value to the largest.

    ``per="channel"`` takes the ``group_tokens`` tokens of one head and channel together,
    ``per="token"`` all heads and channels of one token; for each such block, in float32::

        m    = fp16(min x)
        s    = fp16(max(max x - m, 0) / qmax)                qmax = 2^bits - 1
        code = clamp(round_half_even((x - m) / s), 0, qmax)  0 where s = 0
        x^   = m + code * s

    ``m`` and ``s`` are the stored ones, so that coding makes up for their rounding. A block of
    equal values decodes to that value rounded to fp16 or better. Values beyond 65280 in magnitude
    saturate there. Codes take ``bits`` bits (2 to 8), ``m`` and ``s`` another
    ``32 / group_tokens`` (per channel) or ``32 / (heads * dim)`` (per token).
    """

    bits: int = 4
    group_tokens: int = 16
    per: Literal["channel", "token"] = "channel"
    container_bits: int | None = None

    @property
    def qmax(self) -> int:
        return (1 << self.bits) - 1

    def encode_groups(self, groups: Tensor) -> AffinePlanes:
        low, high = self._range(groups.clamp(-LARGEST, LARGEST))
        low = low.half()
        scale = high.float().sub_(low).clamp_(min=0).div_(self.qmax).half()
        levels = groups.float().sub_(low).div_(scale.float().masked_fill_(scale == 0, 1))
        return self._planes(levels, scale, low)

    def _range(self, groups: Tensor) -> tuple[Tensor, Tensor]:
        dims = 2 if self.per == "channel" else (3, 4)
        return groups.amin(dims, keepdim=True), groups.amax(dims, keepdim=True)

    def _planes(self, levels: Tensor, scale: Tensor, offset: Tensor) -> AffinePlanes:
        codes = levels.round_().clamp_(0, self.qmax).to(torch.uint8)
        return AffinePlanes(store(codes, self.bits, self.container_bits), scale, offset)

    def decode_groups(self, planes: Planes, out: Tensor) -> None:
        assert isinstance(planes, AffinePlanes)
        raised = load(planes.codes, self.bits, self.container_bits)
        scale = planes.scale.float()
        zero = self._zero_level(planes.offset.float(), scale)
        torch.addcmul(zero, raised, scale / (1 << (8 - self.bits)), out=out)

    def _zero_level(self, offset: Tensor, scale: Tensor) -> Tensor:
        """What code 0 decodes to."""
        return offset

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
class ClampedAffine(Affine):
    """The published study's arithmetic: an integer zero point that is clamped to the codes' range.

    ::

        s    = max((max x - min x) / qmax, 1e-8)        all in the dtype of x
        z    = clamp(round(-min x / s), 0, qmax)
        code = clamp(round(x / s + z), 0, qmax)
        x^   = (code - z) * fp16(s)

    The range that it can hold includes zero and is no wider than the block's own spread: a block
    of one sign that lies further than that from zero saturates, and a constant one decodes to 0.
    """

    def encode_groups(self, groups: Tensor) -> AffinePlanes:
        low, high = self._range(groups)
        scale = (high - low).div_(self.qmax).clamp_(SCALE_FLOOR, LARGEST_SCALE)
        zero_point = low.neg_().div_(scale).round_().clamp_(0, self.qmax)
        levels = torch.div(groups, scale).add_(zero_point)
        return self._planes(levels, scale.half(), zero_point.half())

    def _zero_level(self, offset: Tensor, scale: Tensor) -> Tensor:
        return -offset * scale  # exact in float32, as is (code - z) * s then

    def error_bound(self) -> ErrorBound:
        """An element that saturates errs by less than its magnitude, any other by at most ``s``."""
        return ErrorBound(relative=1.0 + 2**-7, peak=2 / self.qmax + 2**-7, absolute=self.qmax * 2**-24)


ZERO_POINTS = {"exact": Affine, "clamped": ClampedAffine}
"""Choices of a method's ``zero_point``."""
