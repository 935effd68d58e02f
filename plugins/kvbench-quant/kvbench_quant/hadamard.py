"""The Walsh-Hadamard rotation of each head, in front of any codec."""

from __future__ import annotations

import math

import torch
from attrs import Factory, evolve, field, frozen
from torch import Tensor

from kvbench_core.cache import ErrorBound, Planes, TensorCodec
from kvbench_core.errors import ParameterError
from kvbench_core.geometry import CacheGeometry
from kvbench_quant.fused import DIMS, FusedCodec, Sum, in_lines, levels_of
from kvbench_quant.slabs import slabs

LARGEST_DIM = 1024
LARGEST_INPUT = 2.0**100  # sums of LARGEST_DIM of these are finite in float32 and bf16


def hadamard(x: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """The normalised Walsh-Hadamard transform of each head (Sylvester order), its own inverse.

    ``x [batch, token, head, dim]``; ``log2(dim)`` butterfly stages and the factor ``dim ** -0.5``,
    all in ``dtype``, that of ``x`` unless given. Magnitudes saturate at ``2^100``.

    Raises:
        ParameterError: ``dim`` is no power of two.
    """
    dim, dtype = x.shape[-1], dtype or x.dtype
    check_head_dim("hadamard", dim)
    if dim in DIMS and in_lines(x):
        from kvbench_quant.kernels import hadamard as kernel

        return kernel.hadamard(x, dtype, LARGEST_INPUT)
    return hadamard_plainly(x.to(dtype).clamp(-LARGEST_INPUT, LARGEST_INPUT))


def hadamard_plainly(x: Tensor) -> Tensor:
    """:func:`hadamard` in torch, in the dtype of ``x``, which is left as it is."""
    dim = x.shape[-1]
    buffers = x.new_empty((2, *x.shape))
    for stage in range(dim.bit_length() - 1):
        shape = (dim >> (stage + 1), 2, 1 << stage)
        target = buffers[stage % 2]
        first, second = torch.unflatten(x, -1, shape).unbind(-2)
        total, difference = torch.unflatten(target, -1, shape).unbind(-2)
        torch.add(first, second, out=total)
        torch.sub(first, second, out=difference)
        x = target
    return x * (1 / math.sqrt(dim))


def check_head_dim(owner: str, dim: int) -> None:
    """Refuse head dimensions that a Walsh-Hadamard transform does not exist for.

    Raises:
        ParameterError: ``dim`` is no power of two, or larger than 1024.
    """
    if dim.bit_count() != 1 or dim > LARGEST_DIM:
        raise ParameterError(owner, "head_dim", f"a power of two up to {LARGEST_DIM}", dim)


@frozen
class Rotated(FusedCodec):
    """``inner`` codes ``y = H x`` of each token and head; ``x^ = H y^``.

    ``rotation`` is the dtype of the arithmetic in front of ``inner``; behind it, it is float32.
    Nothing is stored besides ``inner``'s planes.
    """

    inner: TensorCodec
    rotation: torch.dtype = torch.float32
    group_tokens: int = field(
        init=False, default=Factory(lambda self: self.inner.group_tokens, takes_self=True)
    )

    def encode(self, x: Tensor) -> Planes:
        return self.inner.encode(hadamard(x, self.rotation))

    def levels(self, planes: Planes) -> Sum | None:
        inner = levels_of(self.inner, planes)
        return None if inner is None or inner.rotated else evolve(inner, rotated=True)

    def decode_plainly(self, planes: Planes, out: Tensor) -> None:
        for part, piece in slabs(planes, out, self.group_tokens):
            rotated = piece.new_empty(piece.shape, dtype=torch.float32)
            self.inner.decode(part, rotated)
            piece.copy_(hadamard(rotated))

    @property
    def fixed_bytes(self) -> bool:
        return self.inner.fixed_bytes

    @property
    def chunk_invariant(self) -> bool:
        return self.inner.chunk_invariant

    def check(self, geometry: CacheGeometry) -> None:
        check_head_dim("hadamard", geometry.head_dim)
        self.inner.check(geometry)

    def error_bound(self) -> ErrorBound:
        """The rotation keeps norms, so ``inner``'s bound against the norm holds for ``x``.

        The largest element may grow ``sqrt(dim)`` times. A stage in bf16 errs by ``2^-9`` of the
        norm at most, and there are ten or fewer; the result is rounded once more.
        """
        inner, growth = self.inner.error_bound(), math.sqrt(LARGEST_DIM)
        stages = 11 * torch.finfo(self.rotation).eps
        return ErrorBound(
            relative=inner.relative * (1 + stages) + stages + 2**-8,
            absolute=inner.absolute,
            peak=inner.peak * growth,
            largest=inner.largest / growth,
        )
