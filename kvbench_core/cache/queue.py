"""Tiers by age: tokens enter the newest tier and move on, in whole groups, as it fills up."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
from attrs import frozen
from torch import Tensor

from kvbench_core.cache.codec import KVCodec
from kvbench_core.cache.context import CacheContext
from kvbench_core.cache.layer import SegmentedCache
from kvbench_core.cache.segment import Segment, StoredSegment
from kvbench_core.cache.store import TokenStore
from kvbench_core.geometry import Step


@frozen
class Tier:
    """A codec and the most tokens it holds when ``n`` tokens exist, the current chunk included."""

    codec: KVCodec
    capacity: Callable[[int], int]


class QueueCache(SegmentedCache):
    """Codes history by age. ``tiers`` run from the newest to the oldest; ``last`` holds the rest.

    A token is coded when it enters a tier and again only when it moves to the next one.
    """

    def __init__(
        self, layer: int, context: CacheContext, tiers: Sequence[Tier], last: KVCodec
    ) -> None:
        super().__init__(layer, context)
        self._capacities = [tier.capacity for tier in tiers]
        self._stores = [TokenStore(codec) for codec in (*(tier.codec for tier in tiers), last)]

    def write(self, k: Tensor, v: Tensor, step: Step) -> None:
        self._stores[0].append(k, v)
        self._settle(pending=0)

    def begin_chunk(self, step: Step) -> None:
        # The chunk to come is exact while it is generated: it takes its place in the newest tier.
        self._settle(pending=step.stop - step.start)

    def _settle(self, pending: int) -> None:
        total = pending + sum(store.tokens for store in self._stores)
        for capacity, newer, older in zip(
            self._capacities, self._stores, self._stores[1:], strict=False
        ):
            excess = newer.movable(max(0, newer.tokens + pending - capacity(total)))
            if excess:
                older.append(*self._take(newer, excess))
            pending = 0

    def _take(self, store: TokenStore, tokens: int) -> tuple[Tensor, Tensor]:
        geometry, context = self.context.geometry, self.context
        shape = (2, geometry.batch, tokens, geometry.heads, geometry.head_dim)
        k, v = torch.empty(shape, dtype=context.dtype, device=context.device)
        store.read(0, tokens, k, v)
        store.drop_front(tokens)
        return k, v

    def segments(self) -> Iterable[Segment]:
        origin = 0
        for store in reversed(self._stores):
            stop = origin + store.tokens
            if store.tokens:
                yield StoredSegment(start=origin, stop=stop, store=store, origin=origin)
            origin = stop
