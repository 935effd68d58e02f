"""Decoding whatever is a sum of evenly spaced levels, in one pass over memory on CUDA."""

from __future__ import annotations

from abc import abstractmethod
from functools import cache

import torch
from attrs import frozen
from torch import Tensor

from kvbench_core.cache import Planes, TensorCodec
from kvbench_quant.packing import pack

DIMS = (16, 32, 64, 128, 256)
"""Head dimensions that the kernel rotates."""


@frozen(eq=False, kw_only=True)
class Levels:
    """``code * step`` of signed codes, or of unsigned ones ``zero + code * step``, or, if

    ``zero_is_code``, ``(code - zero) * step``.

    ``codes`` is what :func:`kvbench_quant.pack` makes of ``[batch, group, token, head, dim]``;
    ``step`` and ``zero`` are fp16, ``[batch, group, 1, head, dim]`` (the 1 may be missing), or
    ``[batch, group, token, 1, 1]`` if ``per_token``.
    """

    codes: Tensor
    bits: int
    step: Tensor
    zero: Tensor | None = None
    zero_is_code: bool = False
    per_token: bool = False

    def in_rows(self) -> bool:
        """Whether a video's groups lie behind one another, their channels side by side."""
        return all(x[0].is_contiguous() for x in (self.codes, self.step))


@frozen(eq=False)
class Sum:
    """The elementwise sum of one or two :class:`Levels`, ``rotated`` by a Walsh-Hadamard matrix.

    Computed in float32 and rounded once. A single unrotated term without ``zero`` is decoded into
    a bf16 buffer with its step rounded to bf16 first.
    """

    terms: tuple[Levels, ...]
    group_tokens: int
    rotated: bool = False

    def decode(self, out: Tensor) -> bool:
        """Write ``out [batch, token, head, dim]`` by the Triton kernel, if that can be done."""
        possible = (
            out.is_cuda
            and out.stride()[2:] == (out.shape[3], 1)
            and all(term.in_rows() for term in self.terms)
            and (not self.rotated or out.shape[3] in DIMS)
            and triton_obstacle(out.device) is None
        )
        if possible:
            from kvbench_quant.triton_kernel import decode

            decode(self, out)
        return possible


class FusedCodec(TensorCodec):
    """A codec whose elements are a :class:`Sum`, so that on CUDA one kernel decodes them."""

    @abstractmethod
    def levels(self, planes: Planes) -> Sum | None:
        """What the elements of ``planes`` are the sum of; ``None`` if they are stored otherwise."""

    @abstractmethod
    def decode_plainly(self, planes: Planes, out: Tensor) -> None:
        """:meth:`decode` in torch, on any device; the same numbers up to float32 rounding."""

    def decode(self, planes: Planes, out: Tensor) -> None:
        levels = self.levels(planes) if out.is_cuda else None
        if levels is None or not levels.decode(out):
            self.decode_plainly(planes, out)


def levels_of(codec: TensorCodec, planes: Planes) -> Sum | None:
    """What ``codec``'s elements are the sum of, if it knows."""
    return codec.levels(planes) if isinstance(codec, FusedCodec) else None


@cache
def triton_obstacle(device: torch.device) -> str | None:
    """Why Triton kernels cannot run on ``device``, or ``None``; found by running one."""
    try:
        from kvbench_quant.triton_kernel import decode

        codes = torch.tensor([-7, 7] * 4, dtype=torch.int8, device=device).view(1, 1, 8, 1, 1)
        step = torch.ones(1, 1, 1, 1, dtype=torch.float16, device=device)
        out = torch.empty(1, 8, 1, 1, dtype=torch.bfloat16, device=device)
        decode(Sum((Levels(codes=pack(codes, 4), bits=4, step=step),), 8), out)
        same = torch.equal(out.flatten(), codes.to(out.dtype).flatten())
        return None if same else "its results are wrong"
    except Exception as error:  # no Triton, no C compiler, an unsupported device, ...
        return f"{type(error).__name__}: {error}"
