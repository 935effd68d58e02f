"""How a run of tokens becomes bytes and back."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar, Self

import torch
from attrs import evolve, fields, frozen
from torch import Tensor

from kvbench_core.geometry import CacheGeometry


@frozen(eq=False)
class Planes:
    """The tensors that one codec makes of a run of tokens.

    Subclasses are frozen attrs classes. Their fields are tensors ``[batch, group, ...]``, whose
    axis 1 counts groups of the codec's ``group_tokens`` consecutive tokens, or planes of another
    codec with the same groups. So runs can be cut and joined at group boundaries without decoding.
    Where a tensor is laid out otherwise, the methods below are overridden.
    """

    def tensors(self) -> tuple[Tensor, ...]:
        """All that are laid out by batch and group."""
        parts = (getattr(self, part.name) for part in fields(type(self)))
        nested = (part.tensors() if isinstance(part, Planes) else (part,) for part in parts)
        return tuple(tensor for tensors in nested for tensor in tensors)

    def groups(self, first: int, last: int) -> Self:
        """Groups ``first <= g < last``; shares memory where it can."""
        return self._each(
            lambda planes: planes.groups(first, last), lambda tensor: tensor[:, first:last]
        )

    def rows(self, which: slice | Tensor) -> Self:
        """Some entries of the batch axis, in the order of ``which``; shares memory where it can."""
        return self._each(lambda planes: planes.rows(which), lambda tensor: tensor[which])

    def copy(self) -> Self:
        """The same planes in memory of their own."""
        return self._each(lambda planes: planes.copy(), Tensor.clone)

    def join(self, later: Self, dim: int = 1) -> Self:
        """This run followed by ``later``, in fresh memory; with ``dim`` 0, one batch of both."""
        joined: dict[str, Planes | Tensor] = {}
        for part in fields(type(self)):
            one, other = getattr(self, part.name), getattr(later, part.name)
            nested = isinstance(one, Planes)
            joined[part.name] = one.join(other, dim) if nested else torch.cat([one, other], dim)
        return evolve(self, **joined)

    def _each(
        self, of_planes: Callable[[Planes], Planes], of_tensor: Callable[[Tensor], Tensor]
    ) -> Self:
        changed: dict[str, Planes | Tensor] = {}
        for field in fields(type(self)):
            part = getattr(self, field.name)
            changed[field.name] = of_planes(part) if isinstance(part, Planes) else of_tensor(part)
        return evolve(self, **changed)


@frozen(kw_only=True)
class ErrorBound:
    """What a codec promises, in 2-norms, ``p`` being the largest element's magnitude:

    ``|x^ - x| <= relative |x| + (absolute + peak p) sqrt(numel)`` over any tensor with
    ``p <= largest``; beyond it the decoded values are only finite.
    """

    relative: float
    absolute: float = 0.0
    peak: float = 0.0
    largest: float = math.inf

    def widest(self, other: ErrorBound) -> ErrorBound:
        """The bound that covers tokens coded either way."""
        return ErrorBound(
            relative=max(self.relative, other.relative),
            absolute=max(self.absolute, other.absolute),
            peak=max(self.peak, other.peak),
            largest=min(self.largest, other.largest),
        )

    def then(self, later: ErrorBound) -> ErrorBound | None:
        """The bound that covers tokens coded this way, later, or first this way and then later.

        ``None`` if that allows an error as large as the tokens themselves. Between the two codings
        the largest element may double.
        """
        relative = (1 + self.relative) * (1 + later.relative) - 1
        peak = self.peak * (1 + later.relative) + 2 * later.peak
        if max(relative, peak) >= 1:
            return None
        return ErrorBound(
            relative=relative,
            absolute=self.absolute * (1 + later.relative) + later.absolute,
            peak=peak,
            largest=min(self.largest, later.largest / 2),
        )


class TensorCodec(ABC):
    """Codes keys or values; both as ``[batch, token, head, dim]``."""

    group_tokens: int = 1
    """Consecutive tokens that are coded together."""

    @property
    def fixed_bytes(self) -> bool:
        """Whether stored bytes follow from shapes alone."""
        return True

    @property
    def chunk_invariant(self) -> bool:
        """Whether a group is coded the same whatever is encoded together with it."""
        return True

    def check(self, geometry: CacheGeometry) -> None:  # noqa: B027 - most codecs take any
        """Refuse, before a rollout begins, a geometry that the codec cannot take.

        Raises:
            ParameterError: naming what does not fit.
        """

    @abstractmethod
    def encode(self, x: Tensor) -> Planes:
        """Code ``x``; a last group that is not full is coded as it is."""

    @abstractmethod
    def decode(self, planes: Planes, out: Tensor) -> None:
        """Write the first ``out.shape[1]`` tokens into ``out``, in ``out``'s dtype."""

    @abstractmethod
    def error_bound(self) -> ErrorBound:
        """The promise that the conformance suite holds the codec to."""


@frozen
class KVCodec:
    """A codec for keys and one for values: the *codec* part of a method."""

    name: ClassVar[str] = "codec"

    key: TensorCodec
    value: TensorCodec

    @property
    def group_tokens(self) -> int:
        return math.lcm(self.key.group_tokens, self.value.group_tokens)

    def error_bound(self) -> ErrorBound:
        return self.key.error_bound().widest(self.value.error_bound())

    @property
    def fixed_bytes(self) -> bool:
        return self.key.fixed_bytes and self.value.fixed_bytes

    @property
    def chunk_invariant(self) -> bool:
        return self.key.chunk_invariant and self.value.chunk_invariant

    def check(self, geometry: CacheGeometry) -> None:
        """Refuse a geometry that keys or values cannot be coded at."""
        self.key.check(geometry)
        self.value.check(geometry)


@frozen(eq=False)
class DensePlanes(Planes):
    """The values themselves, ``[batch, token, head, dim]``."""

    values: Tensor


@frozen
class DenseCodec(TensorCodec):
    """Keeps the values as they come, in the cache's dtype (bf16)."""

    def encode(self, x: Tensor) -> DensePlanes:
        return DensePlanes(x.clone(memory_format=torch.contiguous_format))

    def decode(self, planes: Planes, out: Tensor) -> None:
        assert isinstance(planes, DensePlanes)
        out.copy_(planes.values[:, : out.shape[1]])

    def error_bound(self) -> ErrorBound:
        return ErrorBound(relative=0.0)


BF16 = KVCodec(key=DenseCodec(), value=DenseCodec())
