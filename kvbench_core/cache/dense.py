"""The reference: the whole history in bf16, read in place."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from kvbench_core.cache.context import CacheContext
from kvbench_core.cache.gap import Gap
from kvbench_core.cache.layer import LayerCache, Materialised
from kvbench_core.geometry import Step


class DenseCache(LayerCache):
    """Keeps every token; each pass over a chunk overwrites that chunk's slots.

    The buffer grows by one chunk at a time and attention reads a view of it, so this is the
    cheapest dense cache there is: the yardstick for time as for bytes. Forgotten tokens make room
    in place for those to come.
    """

    def __init__(self, layer: int, context: CacheContext) -> None:
        super().__init__(layer, context)
        self._k: Tensor | None = None
        self._v: Tensor | None = None
        self._gap = Gap()

    def attend(self, q: Tensor, k: Tensor, v: Tensor, step: Step) -> Tensor:
        if step.is_context:
            self.context.finite.check(k, v, self.layer, step)
        self._k = self._put(self._k, k, step)
        self._v = self._put(self._v, v, step)
        runs = [(self._gap.slot(start), self._gap.slot(stop)) for start, stop in step.readable()]
        keys, values = (joined(buffer, runs).to(q.dtype) for buffer in (self._k, self._v))
        return self.context.kernel.partial(q, keys, values).out

    def _put(self, buffer: Tensor | None, x: Tensor, step: Step) -> Tensor:
        start, stop = self._gap.slot(step.start), self._gap.slot(step.stop)
        if buffer is None or buffer.shape[1] < stop:
            shape = (x.shape[0], stop, *x.shape[2:])
            grown = torch.empty(shape, dtype=self.context.dtype, device=x.device)
            if buffer is not None:
                grown[:, : buffer.shape[1]].copy_(buffer)
            buffer = grown
        buffer[:, start:stop].copy_(x)
        return buffer

    def forget(self, start: int, stop: int) -> None:
        first, last = self._gap.slot(start), self._gap.slot(stop)
        if first < last:
            for buffer in (self._k, self._v):
                assert buffer is not None
                _close(buffer, first, last)
        self._gap = Gap(start, stop)

    def materialise(self, tokens: int) -> Materialised:
        assert self._k is not None
        assert self._v is not None
        present = torch.ones(tokens, self._k.shape[2], dtype=torch.bool, device=self._k.device)
        present[self._gap.start : self._gap.stop] = False
        k, v = (self._spread(buffer)[:, :tokens] for buffer in (self._k, self._v))
        return Materialised(k, v, present)

    def _spread(self, buffer: Tensor) -> Tensor:
        """The buffer with zeros where tokens were forgotten."""
        start, stop = self._gap.start, self._gap.stop
        zeros = buffer.new_zeros(buffer.shape[0], stop - start, *buffer.shape[2:])
        return torch.cat([buffer[:, :start], zeros, buffer[:, start:]], dim=1)


def _close(buffer: Tensor, start: int, stop: int) -> None:
    """Move what lies behind tokens ``start <= t < stop`` to ``start``, piece by piece.

    No piece is longer than the distance, so none is copied onto itself.
    """
    width, tokens = stop - start, buffer.shape[1]
    for first in range(stop, tokens, width):
        last = min(first + width, tokens)
        buffer[:, first - width : last - width].copy_(buffer[:, first:last])


def joined(buffer: Tensor, runs: Iterable[tuple[int, int]]) -> Tensor:
    """Runs of a buffer's tokens in ascending order; a view where they lie side by side."""
    (first, last), *others = runs
    apart = []
    for start, stop in others:
        if start != last:
            apart.append(buffer[:, first:last])
            first = start
        last = stop
    return torch.cat([*apart, buffer[:, first:last]], dim=1) if apart else buffer[:, first:last]
