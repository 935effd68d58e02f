"""What the caches of one rollout share: geometry, device, scratch memory, clock."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from attrs import define, field
from torch import Tensor

from kvbench_core.attention import AttentionKernel, choose_kernel, merge
from kvbench_core.cache.finite import FiniteGuard
from kvbench_core.cache.segment import Segment
from kvbench_core.geometry import CacheGeometry


class Rotation(Protocol):
    """The backend's rotary embedding, for methods that store keys before it is applied."""

    def rotate(self, x: Tensor, frames: Tensor) -> Tensor:
        """Rotate ``[batch, token, head, dim]`` to the temporal positions ``frames`` ``[token]``."""

    def unrotate(self, x: Tensor, frames: Tensor) -> Tensor:
        """Undo :meth:`rotate`."""


def _event() -> torch.cuda.Event:
    return torch.cuda.Event(enable_timing=True)


class Clock:
    """Seconds spent in named stages; on CUDA measured by events, so the device is never stalled."""

    def __init__(self, device: torch.device) -> None:
        self._cuda = device.type == "cuda"
        self._host: dict[str, float] = defaultdict(float)
        self._events: dict[str, list[tuple[torch.cuda.Event, torch.cuda.Event]]] = defaultdict(list)

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        if self._cuda:
            start, end = _event(), _event()
            start.record()
            yield
            end.record()
            self._events[stage].append((start, end))
        else:
            began = time.perf_counter()
            yield
            self._host[stage] += time.perf_counter() - began

    def seconds(self) -> dict[str, float]:
        """Totals so far; waits for the device."""
        if self._cuda:
            torch.cuda.synchronize()
        totals = dict(self._host)
        for stage, pairs in self._events.items():
            totals[stage] = sum(start.elapsed_time(end) for start, end in pairs) / 1000
        return totals


class Scratch:
    """One pair of K and V buffers that the layers take turns to decode into."""

    def __init__(self) -> None:
        self._buffer: Tensor | None = None
        self.peak_bytes = 0

    def take(self, like: Tensor, keys: int) -> tuple[Tensor, Tensor]:
        """Uninitialised K and V ``[batch, keys, head, dim]``, valid until the next call."""
        batch, _, heads, dim = like.shape
        needed = 2 * batch * keys * heads * dim
        if (
            self._buffer is None
            or self._buffer.numel() < needed
            or (self._buffer.dtype, self._buffer.device) != (like.dtype, like.device)
        ):
            self._buffer = None  # free the old one before the new one is taken
            self._buffer = like.new_empty(needed)
            self.peak_bytes = max(self.peak_bytes, needed * like.element_size())
        pair = self._buffer[:needed].view(2, batch, keys, heads, dim)
        return pair[0], pair[1]


@define(kw_only=True)
class CacheContext:
    """Shared by all layer caches of one rollout.

    ``planned_frames`` is the length of the rollout in latent frames, where it is known.
    ``shared`` is a blackboard for methods whose layers talk to each other within a pass.
    """

    geometry: CacheGeometry
    device: torch.device
    dtype: torch.dtype = torch.bfloat16
    planned_frames: int | None = None
    rotation: Rotation | None = None
    kernel: AttentionKernel = field()
    shared: dict[str, Any] = field(factory=dict)
    scratch: Scratch = field(factory=Scratch)
    finite: FiniteGuard = field(factory=FiniteGuard)
    clock: Clock = field()

    @kernel.default
    def _choose_kernel(self) -> AttentionKernel:
        return choose_kernel("auto", self.device, self.dtype)

    @clock.default
    def _new_clock(self) -> Clock:
        return Clock(self.device)

    def attend(self, q: Tensor, k: Tensor, v: Tensor, history: list[Segment]) -> Tensor:
        """Attention of the current chunk over ``history`` and over itself, exactly.

        Plain segments are decoded behind one another into the scratch buffers, together with the
        chunk's own ``k`` and ``v``, and read by one kernel call. Segments with a multiplicity or
        for some heads only are read apart and merged by their log-sum-exp.
        """
        groups = _by_reading(history)
        parts = []
        for (multiplicity, heads), segments in groups.items():
            queries = q if heads is None else q[:, :, list(heads)]
            own = (k, v) if multiplicity == 1 and heads is None else None
            keys, values = self._gather(queries, segments, own)
            partial = self.kernel.partial(queries, keys, values).repeated(multiplicity)
            parts.append(partial if heads is None else partial.on_heads(heads, q.shape[2]))
        return merge(parts)

    def _gather(
        self, queries: Tensor, segments: list[Segment], own: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, Tensor]:
        if not segments and own is not None:
            return own[0].to(queries.dtype), own[1].to(queries.dtype)
        decoded = sum(segment.keys for segment in segments)
        total = decoded + (0 if own is None else own[0].shape[1])
        keys, values = self.scratch.take(queries, total)
        if keys.is_meta:  # there is nothing to write, and finding that out takes most of the time
            return keys, values
        with self.clock("decode"):
            first = 0
            for segment in segments:
                last = first + segment.keys
                segment.decode(keys[:, first:last], values[:, first:last])
                first = last
            if own is not None:
                keys[:, decoded:].copy_(own[0])
                values[:, decoded:].copy_(own[1])
        return keys, values


def _by_reading(
    history: list[Segment],
) -> dict[tuple[int, tuple[int, ...] | None], list[Segment]]:
    """Segments that one kernel call can read together; the plain ones, maybe none, come first."""
    groups: dict[tuple[int, tuple[int, ...] | None], list[Segment]] = {(1, None): []}
    for segment in history:
        groups.setdefault((segment.multiplicity, segment.heads), []).append(segment)
    return groups
