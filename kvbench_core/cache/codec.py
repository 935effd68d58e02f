"""How a run of tokens becomes bytes and back."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import ClassVar, Self

import torch
from attrs import evolve, fields, frozen
from torch import Tensor


@frozen(eq=False)
class Planes:
    """The tensors that one codec makes of a run of tokens.

    Subclasses are frozen attrs classes whose fields are all tensors ``[batch, group, ...]``:
    axis 1 counts groups of the codec's ``group_tokens`` consecutive tokens, so runs can be cut
    and joined at group boundaries without decoding.
    """

    def tensors(self) -> tuple[Tensor, ...]:
        return tuple(getattr(self, plane.name) for plane in fields(type(self)))

    def groups(self, first: int, last: int) -> Self:
        """Groups ``first <= g < last``, sharing memory."""
        return evolve(
            self, **{f.name: getattr(self, f.name)[:, first:last] for f in fields(type(self))}
        )

    def copy(self) -> Self:
        """The same planes in memory of their own."""
        return evolve(self, **{f.name: getattr(self, f.name).clone() for f in fields(type(self))})

    def join(self, later: Self) -> Self:
        """This run followed by ``later``, in fresh memory."""
        return evolve(
            self,
            **{
                f.name: torch.cat([getattr(self, f.name), getattr(later, f.name)], dim=1)
                for f in fields(type(self))
            },
        )


@frozen(kw_only=True)
class ErrorBound:
    """What a codec promises: ``|x^ - x| <= relative |x| + absolute sqrt(numel)`` (2-norms),

    over any tensor whose elements do not exceed ``largest`` in magnitude; beyond it the decoded
    values are only finite.
    """

    relative: float
    absolute: float = 0.0
    largest: float = math.inf

    def widest(self, other: ErrorBound) -> ErrorBound:
        """The bound that covers tokens coded either way."""
        return ErrorBound(
            relative=max(self.relative, other.relative),
            absolute=max(self.absolute, other.absolute),
            largest=min(self.largest, other.largest),
        )

    def then(self, later: ErrorBound) -> ErrorBound | None:
        """The bound that covers tokens coded this way, later, or first this way and then later.

        ``None`` if that allows an error as large as the tokens themselves. Between the two codings
        the largest element may double.
        """
        relative = (1 + self.relative) * (1 + later.relative) - 1
        if relative >= 1:
            return None
        return ErrorBound(
            relative=relative,
            absolute=self.absolute * (1 + later.relative) + later.absolute,
            largest=min(self.largest, later.largest / 2),
        )


class TensorCodec(ABC):
    """Codes keys or values; both as ``[batch, token, head, dim]``."""

    group_tokens: int = 1
    """Consecutive tokens that are coded together."""

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
