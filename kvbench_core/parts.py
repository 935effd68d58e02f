"""Parts that need no mathematics of their own: ``bf16``, ``recent``, ``window``, ``refresh``."""

from __future__ import annotations

from typing import ClassVar

from attrs import evolve, field, frozen
from torch import Tensor

from kvbench_core.cache.codec import BF16, KVCodec
from kvbench_core.cache.context import CacheContext
from kvbench_core.cache.layer import LayerCache
from kvbench_core.cache.queue import QueueCache, Tier
from kvbench_core.cache.window import WindowCache
from kvbench_core.geometry import Step
from kvbench_core.params import whole
from kvbench_core.policy import Cadence, Promise, Retention, Tiering


def bf16() -> KVCodec:
    """Keep K and V as they are."""
    return BF16


def refresh() -> Cadence:
    """Encode on the clean pass only (differs from the default under ``reconstruct``)."""
    return Cadence.REFRESH_ONLY


@frozen
class Recent(Tiering):
    """The newest ``blocks`` chunks in bf16, the one being generated included; older ones coded."""

    name: ClassVar[str] = "recent"

    blocks: int = field(default=2, validator=whole(1))

    def layer_cache(self, codec: KVCodec, layer: int, context: CacheContext) -> LayerCache:
        window = self.blocks * context.geometry.tokens_per_chunk
        return RecentCache(layer, context, [Tier(BF16, lambda _: window)], last=codec)

    def promise(self, codec: KVCodec) -> Promise:
        return Promise.of(codec, exact_chunks=self.blocks)


class RecentCache(QueueCache):
    """Ends at the chunk being written, also where ``reconstruct`` hands over zeros beyond it."""

    def write(self, k: Tensor, v: Tensor, step: Step) -> None:
        filled = (step.chunk + 1) * step.geometry.tokens_per_chunk - step.start
        super().write(k[:, :filled], v[:, :filled], step)


@frozen
class Window(Retention):
    """Frees, before each chunk, what neither it nor any later chunk can read.

    That is everything between the sink and the chunk's attention window. What attention returns
    does not change by a bit: plans still go by the whole rollout, and coding groups stay whole.
    """

    name: ClassVar[str] = "window"

    def layer_cache(self, cache: LayerCache) -> LayerCache:
        return WindowCache(cache)

    def promise(self, promise: Promise) -> Promise:
        return evolve(promise, keeps_all=False)
