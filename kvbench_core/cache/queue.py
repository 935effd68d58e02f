"""Tiers by age: tokens enter the newest tier and move on, in whole groups, as it fills up."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
from attrs import frozen
from torch import Tensor

from kvbench_core.cache.codec import KVCodec
from kvbench_core.cache.context import CacheContext
from kvbench_core.cache.gap import Gap
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

    A token is coded when it enters a tier and again only when it moves to the next one. Tokens
    that come to more than a tier's whole capacity pass it by uncoded.
    """

    def __init__(
        self, layer: int, context: CacheContext, tiers: Sequence[Tier], last: KVCodec
    ) -> None:
        super().__init__(layer, context)
        codecs = (*(tier.codec for tier in tiers), last)
        for codec in codecs:
            codec.check(context.geometry)
        self._capacities = [tier.capacity for tier in tiers]
        self._stores = [TokenStore(codec) for codec in codecs]
        self._gap = Gap()

    def write(self, k: Tensor, v: Tensor, step: Step) -> None:
        self._enter(0, k, v, total=self._held() + k.shape[1])

    def begin_chunk(self, step: Step) -> None:
        # The chunk to come is exact while it is generated: it takes its place in the newest tier.
        coming = step.stop - step.start
        total = self._held() + coming
        for tier in range(len(self._capacities)):
            self._make_room(tier, coming if tier == 0 else 0, total)
        self._release()

    def forget(self, start: int, stop: int) -> None:
        self._gap = Gap(start, stop)
        self._release()

    def _release(self) -> None:
        """Free in each store what is forgotten and takes no part in what is still to be coded.

        A token that moves on shares a group with others there. Where tokens are coded together in
        other ways, those that have not yet got that far all stay.
        """
        origin = beside = 0
        for store in reversed(self._stores):
            store.forget(self._gap.start + beside - origin, self._gap.stop - beside - origin)
            origin += store.tokens
            beside += store.codec.group_tokens - 1
            if not store.codec.chunk_invariant:
                break

    def _held(self) -> int:
        return sum(store.tokens for store in self._stores)

    def _enter(self, tier: int, k: Tensor, v: Tensor, total: int) -> None:
        """Put tokens into ``tier``, or those that it has no room for into the next one."""
        passing = self._make_room(tier, k.shape[1], total)
        if passing:
            self._enter(tier + 1, k[:, :passing], v[:, :passing], total)
        if passing < k.shape[1]:
            self._stores[tier].append(k[:, passing:], v[:, passing:])

    def _make_room(self, tier: int, coming: int, total: int) -> int:
        """Move old tokens on; how many of the ``coming`` ones still have no room."""
        if tier == len(self._capacities):
            return 0
        store = self._stores[tier]
        excess = max(0, store.tokens + coming - self._capacities[tier](total))
        leaving = store.movable(excess)
        if leaving:
            self._enter(tier + 1, *self._take(store, leaving), total)
        # Whoever stays because its group is not complete cannot be overtaken.
        return 0 if store.tokens else excess - leaving

    def _take(self, store: TokenStore, tokens: int) -> tuple[Tensor, Tensor]:
        """The oldest ``tokens``, removed from the store; those that were forgotten are zero."""
        geometry, context = self.context.geometry, self.context
        shape = (2, geometry.batch, tokens, geometry.heads, geometry.head_dim)
        k, v = torch.zeros(shape, dtype=context.dtype, device=context.device)
        for start, stop in store.gap.outside(tokens):
            store.read(start, stop, k[:, start:stop], v[:, start:stop])
        store.drop_front(tokens)
        return k, v

    def segments(self) -> Iterable[Segment]:
        origin = 0
        for store in reversed(self._stores):
            for start, stop in self._gap.outside(origin + store.tokens):
                first = max(start, origin)
                if first < stop:
                    yield StoredSegment(start=first, stop=stop, store=store, origin=origin)
            origin += store.tokens
