"""A cache whose unit is the latent frame: tiers, pruning, summaries."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from itertools import pairwise
from typing import Self

import torch
from torch import Tensor

from kvbench_core.cache import CacheContext, KVCodec, Segment, SegmentedCache
from kvbench_core.errors import CacheError
from kvbench_core.geometry import Step
from kvbench_flowcache.plan import Level, Shares, assign
from kvbench_flowcache.score import Score, summary
from kvbench_flowcache.segment import StoredFrames, ZeroFrames
from kvbench_flowcache.store import MEAN, FrameStore, by_frame


class Removal(Enum):
    """What attention reads of a pruned frame."""

    ZEROS = "zeros"
    MEAN = "mean"
    NOTHING = "nothing"


class Planner:
    """One layer's plans during one rollout.

    A plan holds until the number of frames changes, unless ``every_write`` makes a new one; the
    two differ only where scores depend on content that changes (``@reconstruct``).
    """

    def __init__(self, shares: Shares, scale: float, score: Score, *, every_write: bool) -> None:
        self.score = score
        self._shares = shares
        self._scale = scale
        self._every_write = every_write
        self._plan: list[Level] = []

    def plan(self, held: Sequence[Level], summaries: Tensor | None) -> list[Level]:
        """The level of each frame."""
        frames = len(held)
        if self._every_write or len(self._plan) != frames:
            sizes = self._shares.sizes(frames, self._scale)
            self._plan = assign(held, sizes, self.score.scores(frames, summaries))
        return self._plan


class FrameCache(SegmentedCache):
    """Latent frames in tiers, planned anew whenever a chunk is final.

    ``codecs`` are those of the levels above ``PRUNED``; levels with equal codecs share a store, so
    that a frame which moves between them is not touched. A frame is coded when it comes and again
    when it moves to another codec. The chunk that is generated is exact and in no tier: the plan
    follows its clean pass, so that all passes over a chunk read the same history and no noisy
    content is scored.
    """

    def __init__(
        self,
        layer: int,
        context: CacheContext,
        codecs: Mapping[Level, KVCodec],
        removal: Removal,
        planner: Planner,
    ) -> None:
        super().__init__(layer, context)
        self._removal = removal
        self._planner = planner
        self._levels: list[Level] = []
        self._summaries: Tensor | None = None
        self._forgotten = range(0)
        shared: dict[KVCodec, FrameStore] = {}
        self._store: dict[Level, FrameStore] = {
            level: shared.setdefault(codec, FrameStore(codec, context))
            for level, codec in codecs.items()
        }
        if removal is Removal.MEAN:
            tokens = context.geometry.tokens_per_frame
            self._store[Level.PRUNED] = FrameStore(MEAN, context, tokens_per_key=tokens)

    def succeed(self, previous: Self) -> None:
        self._planner = previous._planner

    def write(self, k: Tensor, v: Tensor, step: Step) -> None:
        # ``reconstruct`` hands over the study's allocation: frames after the chunk are padding.
        tokens = self.context.geometry.tokens_per_frame
        frames = min(step.frames, (step.chunk + 1) * step.geometry.chunk_frames - step.start_frame)
        k, v = (by_frame(x, tokens)[:, :frames] for x in (k, v))
        self._note(k, v)
        known = len(self._levels)
        held = [*self._levels, *[Level.NEWEST] * frames]
        plan = self._planner.plan(held, self._summaries)
        self._move(plan, known, k, v)
        self._levels = list(plan)
        self._rescore([f for f in range(len(plan)) if held[f] < plan[f] == Level.PRUNED])

    def forget(self, start: int, stop: int) -> None:
        if self._planner.score.needs_summaries and self._removal is Removal.MEAN:
            raise CacheError(
                "soft_prune with score='published' compares the means of pruned frames, also of "
                "those that nothing reads any more; with window() use score='recency'"
            )
        size = self.context.geometry.tokens_per_frame
        self._forgotten = range(start // size, stop // size)
        for store in self._stores():
            store.keep([f for f in store.frames if f not in self._forgotten])

    def _stores(self) -> list[FrameStore]:
        return list({id(store): store for store in self._store.values()}.values())

    def _move(self, plan: Sequence[Level], known: int, k: Tensor, v: Tensor) -> None:
        """Bring frames to where ``plan`` wants them; ``k``, ``v`` are those from ``known`` on."""
        goal = [self._store.get(level) for level in plan]
        stores = self._stores()
        arriving: dict[int, list[tuple[list[int], Tensor, Tensor]]] = {id(s): [] for s in stores}
        for origin in stores:
            for store in stores:
                moving = [f for f in origin.frames if goal[f] is store]
                if moving and store is not origin:
                    arriving[id(store)].append((moving, *origin.decoded(moving)))
            origin.keep([f for f in origin.frames if goal[f] is origin])
        for store in stores:
            fresh = [f - known for f in range(known, len(plan)) if goal[f] is store]
            if fresh:
                frames = [f + known for f in fresh]
                arriving[id(store)].append((frames, _at(k, fresh), _at(v, fresh)))
            self._put(store, arriving[id(store)])

    @staticmethod
    def _put(store: FrameStore, runs: list[tuple[list[int], Tensor, Tensor]]) -> None:
        if len(runs) == 1:
            store.put(*runs[0])
        elif runs:
            frames, k, v = zip(*runs, strict=True)
            store.put([f for run in frames for f in run], torch.cat(k, 1), torch.cat(v, 1))

    def _note(self, k: Tensor, v: Tensor) -> None:
        """Summaries of new frames, where scores are made of them."""
        if self._planner.score.needs_summaries:
            new = summary(k, v)
            old = self._summaries
            self._summaries = new if old is None else torch.cat([old, new])

    def _rescore(self, frames: list[int]) -> None:
        """Frames that were just pruned score as what is left of them."""
        if self._summaries is None or not frames:
            return
        index = torch.tensor(frames, device=self._summaries.device)
        store = self._store.get(Level.PRUNED)
        if store is None:
            self._summaries.index_fill_(0, index, 0.0)
        else:
            self._summaries.index_copy_(0, index, summary(*store.decoded(frames)))

    def segments(self) -> Iterable[Segment]:
        tokens = self.context.geometry.tokens_per_frame
        for store in self._stores():
            if store.frames:
                yield StoredFrames.all_of(store, tokens)
        if self._removal is Removal.ZEROS:
            pruned = (f for f, level in enumerate(self._levels) if level is Level.PRUNED)
            zeros = tuple(f for f in pruned if f not in self._forgotten)
            if zeros:
                yield ZeroFrames.all_of(zeros, tokens)


def _at(x: Tensor, frames: list[int]) -> Tensor:
    """Some frames of ``[batch, frame, token, head, dim]``: a view where they lie side by side."""
    if all(after == before + 1 for before, after in pairwise(frames)):
        return x[:, frames[0] : frames[-1] + 1]
    return x[:, frames]
