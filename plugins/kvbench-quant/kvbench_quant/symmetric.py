"""Symmetric uniform quantisation with one scale for each channel of a group of tokens."""

from __future__ import annotations

import math

import torch
from attrs import frozen
from torch import Tensor

from kvbench_core.cache import ErrorBound, Planes
from kvbench_quant.fused import Levels, Uniform
from kvbench_quant.packing import store, unpack
from kvbench_quant.uniform import UniformCodec

WIDTHS = (2, 3, 4, 8)
"""Bits per code that methods offer."""

SCALE_FLOOR = 1e-8
LARGEST_SCALE = 65280.0  # the largest number that fp16 and bf16 both hold


def scale_limits(dtype: torch.dtype, qmax: int) -> tuple[float, float]:
    """Smallest and largest scale for input of ``dtype``, both numbers of that dtype."""
    limits = torch.finfo(dtype)
    smallest = max(SCALE_FLOOR, limits.tiny * limits.eps)  # 1e-8 would be zero in fp16
    # What comes back is qmax * s, which fp16 must hold too where it is the input's dtype.
    return smallest, LARGEST_SCALE / (qmax if dtype == torch.float16 else 1)


def quotient(x: Tensor, divisor: int) -> Tensor:
    """``x / divisor``, correctly rounded: CUDA would multiply by the divisor's reciprocal."""
    return x.double().div_(divisor).to(x.dtype)


@frozen(eq=False)
class SymmetricPlanes(Planes):
    """``codes`` uint8 ``[batch, group, group_tokens * bits / 8, head, dim]``, packed, or int8 or

    int16 ``[batch, group, token, head, dim]`` in containers; ``scale`` fp16
    ``[batch, group, head, dim]``.
    """

    codes: Tensor
    scale: Tensor


@frozen
class Symmetric(UniformCodec):
    """Round to nearest on ``2 qmax + 1`` levels around zero, ``qmax = 2^(bits-1) - 1``.

    For each group of ``group_tokens`` tokens, head and channel::

        s    = max(max_t |x_t| / qmax, 1e-8)        in the dtype of x
        code = clamp(round_half_even(x / s), -qmax, qmax)
        x^   = code * fp16(s)

    Codes take ``bits`` bits (1 to 8), or ``container_bits`` where they are not packed; scales
    ``16 / group_tokens`` bits per element. The lowest code of the two's complement, ``-qmax - 1``,
    is never used, as in the published study. A scale that fp16 cannot hold saturates at 65280 and
    its group's values at ``qmax`` times that.

    Decoding is rounded once to ``out``'s dtype; into bf16, the scale of float32 input is rounded to
    bf16 first (that of bf16 input is a bf16 number already).
    """

    bits: int = 4
    group_tokens: int = 16
    container_bits: int | None = None

    @property
    def qmax(self) -> int:
        return (1 << (self.bits - 1)) - 1

    def scale(self, groups: Tensor) -> Tensor:
        """``[batch, group, 1, head, dim]`` in the dtype of ``groups``, finite and above zero."""
        limits = scale_limits(groups.dtype, self.qmax)
        largest = groups.abs().amax(2, keepdim=True)
        return quotient(largest, self.qmax).clamp_(*limits)

    def encode_groups(self, groups: Tensor) -> SymmetricPlanes:
        scale = self.scale(groups)
        levels = torch.div(groups, scale).round_().clamp_(-self.qmax, self.qmax)
        codes = store(levels.to(torch.int8), self.bits, self.container_bits)
        return SymmetricPlanes(codes, scale.squeeze(2).half())

    @property
    def uniform(self) -> Uniform | None:
        packed = self.container_bits is None
        return Uniform(bits=self.bits, group_tokens=self.group_tokens) if packed else None

    def limits(self, dtype: torch.dtype) -> tuple[float, float]:
        return scale_limits(dtype, self.qmax)

    def planes(self, levels: Levels) -> SymmetricPlanes:
        return SymmetricPlanes(levels.codes, levels.step.squeeze(2))

    def term(self, planes: Planes, uniform: Uniform) -> Levels:
        assert isinstance(planes, SymmetricPlanes)
        return Levels(uniform, planes.codes, planes.scale)

    def decode_groups(self, planes: Planes, out: Tensor) -> None:
        assert isinstance(planes, SymmetricPlanes)
        # Into fp16 the product is made in float32; a scale is a bf16 number where ``out`` is bf16.
        codes, scale = planes.codes, planes.scale.to(torch.promote_types(out.dtype, torch.bfloat16))
        if self.container_bits is None:
            codes = unpack(codes, self.bits).view(torch.int8)
            scale = scale / (1 << (8 - self.bits))
        torch.mul(codes, scale.unsqueeze(2), out=out)

    def error_bound(self) -> ErrorBound:
        """What holds for any tensor of bf16, fp16 or float32, decoded to its own dtype or bf16.

        Let a group's largest magnitude be ``M = qmax s``. It is coded without error; another
        element errs by at most ``min(|x|, s/2)``, which weighs most against ``|x|`` at
        ``|x| = s/2``. With ``r = (group_tokens - 1) / 4``, error^2 is then at most ``r s^2``
        beside a norm^2 of ``qmax^2 s^2 + r s^2``, in each group and so in all of them together.
        Dividing, rounding the scale and rounding the product add less than five bf16 roundings,
        ``5 * 2^-8``. A scale below fp16's normal range is off by up to ``2^-25``, hence an element
        by ``qmax * 2^-25``, and its rounding by as much again.
        """
        r = (self.group_tokens - 1) / 4
        return ErrorBound(
            relative=math.sqrt(r / (self.qmax**2 + r)) + 5 * 2**-8,
            absolute=self.qmax * 2**-24,
            largest=self.qmax * LARGEST_SCALE,
        )
