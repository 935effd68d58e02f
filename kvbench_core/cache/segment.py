"""What attention reads: runs of tokens that decode themselves."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence

import torch
from attrs import evolve, frozen
from torch import Tensor

from kvbench_core.cache.store import TokenStore
from kvbench_core.errors import CacheError


@frozen(eq=False, kw_only=True)
class Segment(ABC):
    """Keys and values that stand for tokens at positions ``start <= t < stop``: all of them,

    unless a subclass says otherwise in :attr:`keys`, :meth:`positions` and :meth:`within`. Each
    key stands for ``multiplicity`` tokens. ``heads`` lists the attention heads that see it
    (``None``: all).
    """

    start: int
    stop: int
    multiplicity: int = 1
    heads: tuple[int, ...] | None = None

    @property
    def keys(self) -> int:
        """Keys that :meth:`decode` writes."""
        return (self.stop - self.start) // self.multiplicity

    def positions(self) -> Tensor:
        """The tokens it stands for, ``multiplicity`` for each key in turn."""
        return torch.arange(self.start, self.stop)

    def within(self, start: int, stop: int) -> Segment | None:
        """The part inside a token range, or ``None``."""
        start, stop = max(start, self.start), min(stop, self.stop)
        return evolve(self, start=start, stop=stop) if start < stop else None

    @abstractmethod
    def decode(self, k_out: Tensor, v_out: Tensor) -> None:
        """Write keys and values into ``[batch, keys, head, dim]`` buffers."""


@frozen(eq=False, kw_only=True)
class StoredSegment(Segment):
    """Tokens in a store whose oldest token is at position ``origin``."""

    store: TokenStore
    origin: int

    def decode(self, k_out: Tensor, v_out: Tensor) -> None:
        self.store.read(self.start - self.origin, self.stop - self.origin, k_out, v_out)


@frozen(eq=False, kw_only=True)
class SummarySegment(Segment):
    """One key and value ``[batch, key, head, dim]`` for each ``multiplicity`` tokens."""

    k: Tensor
    v: Tensor
    origin: int

    def within(self, start: int, stop: int) -> Segment | None:
        """The part inside a token range, or ``None``.

        Raises:
            CacheError: the range cuts through the tokens that one key stands for.
        """
        part = super().within(start, stop)
        if part and any((t - self.origin) % self.multiplicity for t in (part.start, part.stop)):
            raise CacheError(
                f"a summary of {self.multiplicity} tokens from token {self.origin} on cannot be "
                f"cut to tokens {part.start} to {part.stop}"
            )
        return part

    def decode(self, k_out: Tensor, v_out: Tensor) -> None:
        first = (self.start - self.origin) // self.multiplicity
        k_out.copy_(self.k[:, first : first + self.keys])
        v_out.copy_(self.v[:, first : first + self.keys])


@frozen(eq=False, kw_only=True)
class ZeroSegment(Segment):
    """Tokens whose K and V are zero and that stay in the softmax: stored as nothing at all."""

    def decode(self, k_out: Tensor, v_out: Tensor) -> None:
        k_out.zero_()
        v_out.zero_()


def visible(segments: Iterable[Segment], ranges: Sequence[tuple[int, int]]) -> list[Segment]:
    """The parts of ``segments`` inside ``ranges``, in order of position."""
    parts = [
        part
        for segment in segments
        for start, stop in ranges
        if (part := segment.within(start, stop)) is not None
    ]
    return sorted(parts, key=lambda part: part.start)
