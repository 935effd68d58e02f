"""Two codecs in a row: the second codes what the first one left."""

from __future__ import annotations

import torch
from attrs import Factory, field, frozen
from torch import Tensor

from kvbench_core.cache import ErrorBound, Planes, TensorCodec
from kvbench_core.geometry import CacheGeometry
from kvbench_quant.fused import FusedCodec, Sum, levels_of
from kvbench_quant.slabs import slabs


@frozen(eq=False)
class ResidualPlanes(Planes):
    """The planes of both stages."""

    first: Planes
    second: Planes


@frozen
class Residual(FusedCodec):
    """``x^ = x1^ + r^``: ``first`` codes ``x``, ``second`` codes ``r = x - x1^``, in float32.

    Both stages have the same ``group_tokens``. Stored: what both store.
    """

    first: TensorCodec
    second: TensorCodec
    group_tokens: int = field(
        init=False, default=Factory(lambda self: self.first.group_tokens, takes_self=True)
    )

    def __attrs_post_init__(self) -> None:
        assert self.first.group_tokens == self.second.group_tokens

    def encode(self, x: Tensor) -> ResidualPlanes:
        first = self.first.encode(x)
        left = self._decoded(self.first, first, x)
        return ResidualPlanes(first, self.second.encode(torch.sub(x.float(), left, out=left)))

    def levels(self, planes: Planes) -> Sum | None:
        assert isinstance(planes, ResidualPlanes)
        first, second = levels_of(self.first, planes.first), levels_of(self.second, planes.second)
        if first is None or second is None or first.rotated or second.rotated:
            return None
        terms = first.terms + second.terms
        return Sum(terms) if len(terms) == 2 else None

    def decode_plainly(self, planes: Planes, out: Tensor) -> None:
        for part, piece in slabs(planes, out, self.group_tokens):
            assert isinstance(part, ResidualPlanes)
            total = self._decoded(self.first, part.first, piece)
            piece.copy_(total.add_(self._decoded(self.second, part.second, piece)))

    def _decoded(self, codec: TensorCodec, planes: Planes, like: Tensor) -> Tensor:
        decoded = like.new_empty(like.shape, dtype=torch.float32)
        codec.decode(planes, decoded)
        return decoded

    @property
    def fixed_bytes(self) -> bool:
        return self.first.fixed_bytes and self.second.fixed_bytes

    @property
    def chunk_invariant(self) -> bool:
        return self.first.chunk_invariant and self.second.chunk_invariant

    def check(self, geometry: CacheGeometry) -> None:
        self.first.check(geometry)
        self.second.check(geometry)

    def error_bound(self) -> ErrorBound:
        """``second``'s bound of a residual as large as ``first``'s bound allows.

        No element of the residual is taken to exceed three times the largest of ``x``. Rounding
        the sum to bf16 adds ``2^-8``.
        """
        first, second = self.first.error_bound(), self.second.error_bound()
        return ErrorBound(
            relative=second.relative * first.relative + 2**-8,
            absolute=second.relative * first.absolute + second.absolute,
            peak=second.relative * first.peak + 3 * second.peak,
            largest=min(first.largest, second.largest / 3),
        )
