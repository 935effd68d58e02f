"""Uniform quantisation in one pass over memory, by Triton kernels, on CUDA."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from enum import IntEnum
from functools import cache

import torch
from attrs import frozen
from torch import Tensor

from kvbench_core.cache import Planes, TensorCodec

DTYPES = (torch.bfloat16, torch.float16, torch.float32)

DIMS = (16, 32, 64, 128, 256)
"""Head dimensions that the kernels rotate."""

GROUPS = (8, 16, 32, 64, 128)
"""Group sizes that the kernels encode."""


class Origin(IntEnum):
    """What a level is counted from."""

    NONE = 0
    """Codes have a sign: ``code * step``."""
    OFFSET = 1
    """``origin + code * step``."""
    ZERO_CODE = 2
    """``(code - origin) * step``."""


@frozen(kw_only=True)
class Uniform:
    """Evenly spaced levels, with a step for each channel of a group or for each token."""

    bits: int
    group_tokens: int
    origin: Origin = Origin.NONE
    per_token: bool = False

    @property
    def qmax(self) -> int:
        return (1 << self.bits - (self.origin is Origin.NONE)) - 1


@frozen(eq=False)
class Levels:
    """The elements of ``[batch, group, token, head, dim]`` as ``uniform`` says.

    ``codes`` is what :func:`kvbench_quant.pack` makes of them; ``step`` and ``origin`` (if there is
    one) are fp16, ``[batch, group, 1, head, dim]`` (the 1 may be missing), or
    ``[batch, group, token, 1, 1]`` if ``per_token``.
    """

    uniform: Uniform
    codes: Tensor
    step: Tensor
    origin: Tensor | None = None

    def in_rows(self) -> bool:
        """Whether a video's groups lie behind one another, their channels side by side."""
        return all(x[0].is_contiguous() for x in (self.codes, self.step))


@frozen(eq=False)
class Sum:
    """The elementwise sum of one or two :class:`Levels`, ``rotated`` by a Walsh-Hadamard matrix.

    Computed in float32 and rounded once. A single unrotated term without ``origin`` is decoded into
    a bf16 buffer with its step rounded to bf16 first.
    """

    terms: tuple[Levels, ...]
    rotated: bool = False

    def decode(self, out: Tensor) -> bool:
        """Write ``out [batch, token, head, dim]`` by the kernel, if that can be done."""
        possible = (
            in_lines(out)
            and all(term.in_rows() for term in self.terms)
            and (not self.rotated or out.shape[3] in DIMS)
        )
        if possible:
            from kvbench_quant.kernels.decode import decode

            decode(self, out)
        return possible


def encode(uniform: Uniform, x: Tensor, limits: tuple[float, float]) -> Levels | None:
    """Code ``x [batch, token, head, dim]`` by the kernel, if that can be done.

    ``limits`` are the smallest and the largest step of codes with a sign; otherwise the second is
    the largest value.
    """
    if uniform.group_tokens not in GROUPS or uniform.bits < 2 or not in_lines(x):
        return None
    from kvbench_quant.kernels.encode import encode

    return Levels(uniform, *encode(uniform, x, limits))


class FusedCodec(TensorCodec):
    """A codec whose elements are a :class:`Sum`, so that on CUDA one kernel decodes them."""

    @abstractmethod
    def levels(self, planes: Planes) -> Sum | None:
        """What the elements of ``planes`` are the sum of; ``None`` if they are stored otherwise."""

    @abstractmethod
    def decode_plainly(self, planes: Planes, out: Tensor) -> None:
        """:meth:`decode` in torch, on any device; the same numbers up to float32 rounding."""

    def decode(self, planes: Planes, out: Tensor) -> None:
        levels = self.levels(planes)
        if levels is None or not levels.decode(out):
            self.decode_plainly(planes, out)


def levels_of(codec: TensorCodec, planes: Planes) -> Sum | None:
    """What ``codec``'s elements are the sum of, if it knows."""
    return codec.levels(planes) if isinstance(codec, FusedCodec) else None


def in_lines(x: Tensor) -> bool:
    """Whether kernels can read and write ``x``: a token's heads lie side by side there."""
    fits = x.dtype in DTYPES and x.stride()[2:] == (x.shape[3], 1)
    return fits and kernels_run(x.device)


@cache
def kernels_run(device: torch.device) -> bool:
    """Whether Triton's kernels run there; warns once if a CUDA device does not run them."""
    if device.type != "cuda":
        return False
    obstacle = triton_obstacle(device)
    if obstacle is not None:
        warnings.warn(
            f"quantisers run on {device} without Triton's kernels, much slower: {obstacle}",
            RuntimeWarning,
            stacklevel=2,
        )
    return obstacle is None


def triton_obstacle(device: torch.device) -> str | None:
    """Why Triton kernels cannot run on ``device``, or ``None``; found by running two."""
    try:
        from kvbench_quant.kernels.decode import decode
        from kvbench_quant.kernels.encode import encode

        x = torch.tensor([-7, 7] * 4, dtype=torch.bfloat16, device=device).view(1, 8, 1, 1)
        uniform, out = Uniform(bits=4, group_tokens=8), torch.empty_like(x)
        decode(Sum((Levels(uniform, *encode(uniform, x, (1.0, 1.0))),)), out)
        return None if torch.equal(out, x) else "its results are wrong"
    except Exception as error:  # no Triton, no C compiler, an unsupported device, ...
        return f"{type(error).__name__}: {error}"
