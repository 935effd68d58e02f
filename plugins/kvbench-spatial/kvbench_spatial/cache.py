"""A cache with a foreground and a background."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from kvbench_core.cache import CacheContext, Gap, KVCodec, Segment, SegmentedCache, TokenStore
from kvbench_core.geometry import Step
from kvbench_spatial.magnitude import Magnitude
from kvbench_spatial.partition import Partition, PartSegment

ChooseForeground = Callable[[Tensor], Tensor]
"""Variance over frames, float32 ``[position]``, to mask, bool ``[position]`` in host memory."""


class SpatialCache(SegmentedCache):
    """Two queues of tokens; a chunk's mask says which of its tokens join which.

    The mask is made when the chunk is final, from all frames up to and including it, and holds
    for all of the chunk's frames. It is never changed, so no token is ever coded twice.
    """

    def __init__(
        self,
        layer: int,
        context: CacheContext,
        *,
        foreground: KVCodec,
        background: KVCodec,
        choose: ChooseForeground,
    ) -> None:
        super().__init__(layer, context)
        positions = context.geometry.tokens_per_frame
        self._choose = choose
        self._magnitude = Magnitude(positions, context.device)
        self._partition = Partition(positions)
        self._stores = {True: TokenStore(foreground), False: TokenStore(background)}
        self._gap = Gap()

    def write(self, k: Tensor, v: Tensor, step: Step) -> None:
        self._magnitude.add(v)
        mask = self._mask()
        self._partition.append(mask, step.frames)
        for foreground, store in self._stores.items():
            positions = (mask == foreground).nonzero().squeeze(1).to(k.device)
            if len(positions):
                store.append(*(_at(positions, x, step.frames) for x in (k, v)))

    def _mask(self) -> Tensor:
        variance = self._magnitude.variance()
        if self._magnitude.frames == 1:  # a single frame shows no change: all of it is foreground
            return torch.ones(len(variance), dtype=torch.bool)
        return self._choose(variance)

    def forget(self, start: int, stop: int) -> None:
        self._gap = Gap(start, stop)
        rank = self._partition.rank
        for foreground, store in self._stores.items():
            store.forget(rank(start, foreground), rank(stop, foreground))

    def segments(self) -> Iterable[Segment]:
        for foreground, store in self._stores.items():
            for start, stop in self._gap.outside(self._partition.tokens):
                part = PartSegment(
                    start=start,
                    stop=stop,
                    partition=self._partition,
                    foreground=foreground,
                    store=store,
                )
                if part.keys:
                    yield part


def _at(positions: Tensor, x: Tensor, frames: int) -> Tensor:
    """The tokens at ``positions`` of every frame of ``x``, ``[batch, token, head, dim]``."""
    by_frame = x.view(x.shape[0], frames, -1, *x.shape[2:])
    return by_frame[:, :, positions].flatten(1, 2)
