"""The narrow waist: what an attention layer asks of its cache."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Self

import torch
from attrs import frozen
from torch import Tensor

from kvbench_core.cache.context import CacheContext
from kvbench_core.cache.ledger import held_bytes
from kvbench_core.cache.segment import Segment, visible
from kvbench_core.errors import CacheError
from kvbench_core.geometry import Step


@frozen(eq=False)
class Materialised:
    """A cache's whole content as attention would read it.

    ``k`` and ``v`` are ``[batch, token, head, dim]`` over positions ``0 <= t < T``; a summary is
    repeated over the tokens that it stands for. ``present`` ``[token, head]`` is false where a
    head no longer sees a token; ``k`` and ``v`` are zero there.
    """

    k: Tensor
    v: Tensor
    present: Tensor


class LayerCache(ABC):
    """The KV cache of one transformer layer for one rollout.

    All tensors are ``[batch, token, head, dim]``; keys and queries carry the rotary embedding.
    """

    def __init__(self, layer: int, context: CacheContext) -> None:
        self.layer = layer
        self.context = context

    @abstractmethod
    def attend(self, q: Tensor, k: Tensor, v: Tensor, step: Step) -> Tensor:
        """Attention of the current chunk over the visible history and itself, shaped like ``q``.

        Called once for each pass over a chunk, in order. Only the pass with ``step.is_context``
        may change what later chunks read. ``k`` and ``v`` belong to the caller.
        """

    @abstractmethod
    def materialise(self, tokens: int) -> Materialised:
        """What is kept of the first ``tokens`` tokens of the rollout."""

    def forget(self, start: int, stop: int) -> None:
        """Free tokens ``start <= t < stop``: nothing reads them any more.

        Called before a chunk's first pass, with ranges that contain the earlier ones. What is
        read of the other tokens stays as it is, bit by bit, and so does all that is planned from
        the length of the rollout; a token may stay while others that are kept need it. What is
        gone is shown by neither ``materialise`` nor a :class:`SegmentedCache`'s ``segments``.

        Raises:
            CacheError: this class of cache cannot.
        """
        raise CacheError(
            f"{type(self).__name__} cannot forget, so window() cannot be added to its method; "
            "it would need a method forget(start, stop)"
        )

    def stored_bytes(self) -> int:
        """Bytes held for the history, measured over the unique storages of this object.

        What :class:`CacheContext` owns (the scratch buffers) is transient and does not count.
        """
        return held_bytes(self, skip=(self.context,))


class SegmentedCache(LayerCache):
    """Derives attention from two smaller questions: what to keep, and what to read."""

    def __init__(self, layer: int, context: CacheContext) -> None:
        super().__init__(layer, context)
        self._chunk = -1

    @abstractmethod
    def write(self, k: Tensor, v: Tensor, step: Step) -> None:
        """Keep what the method keeps of the final K and V of ``step.start <= t < step.stop``."""

    @abstractmethod
    def segments(self) -> Iterable[Segment]:
        """Everything kept; the base cuts it to what the current chunk may read."""

    def begin_chunk(self, step: Step) -> None:
        """Called before a chunk's first pass reads: the place to demote, evict or merge."""

    def succeed(self, previous: Self) -> None:
        """Take over what ``previous`` learned of the rollout (plans, statistics), not its tokens.

        The ``reconstruct`` integration makes a new cache for every whole re-encoding.
        """

    def attend(self, q: Tensor, k: Tensor, v: Tensor, step: Step) -> Tensor:
        if step.chunk != self._chunk:
            self._chunk = step.chunk
            with self.context.clock("encode"):
                self.begin_chunk(step)
        out = self.context.attend(q, k, v, visible(self.segments(), step.visible_history()))
        if step.is_context:
            with self.context.clock("encode"):
                self.context.finite.check(k, v, self.layer, step)
                self.write(k, v, step)
        return out

    def materialise(self, tokens: int) -> Materialised:
        geometry, context = self.context.geometry, self.context
        k = torch.zeros(
            (geometry.batch, tokens, geometry.heads, geometry.head_dim),
            dtype=context.dtype,
            device=context.device,
        )
        v = torch.zeros_like(k)
        present = torch.zeros(tokens, geometry.heads, dtype=torch.bool, device=context.device)
        for segment in visible(self.segments(), [(0, tokens)]):
            seen_by = range(geometry.heads) if segment.heads is None else segment.heads
            heads = torch.as_tensor(seen_by, device=k.device)
            shape = (geometry.batch, segment.keys, len(heads), geometry.head_dim)
            keys, values = k.new_empty(shape), v.new_empty(shape)
            segment.decode(keys, values)
            where = segment.positions().to(k.device).unsqueeze(1)
            k[:, where, heads] = keys.repeat_interleave(segment.multiplicity, dim=1)
            v[:, where, heads] = values.repeat_interleave(segment.multiplicity, dim=1)
            present[where, heads] = True
        return Materialised(k, v, present)
