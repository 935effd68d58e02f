"""The reference: the whole history in bf16, read in place."""

from __future__ import annotations

import torch
from torch import Tensor

from kvbench_core.cache.context import CacheContext
from kvbench_core.cache.layer import LayerCache, Materialised
from kvbench_core.geometry import Step


class DenseCache(LayerCache):
    """Keeps every token; each pass over a chunk overwrites that chunk's slots.

    The buffer grows by one chunk at a time and attention reads a view of it, so this is the
    cheapest dense cache there is: the yardstick for time as for bytes.
    """

    def __init__(self, layer: int, context: CacheContext) -> None:
        super().__init__(layer, context)
        self._k: Tensor | None = None
        self._v: Tensor | None = None

    def attend(self, q: Tensor, k: Tensor, v: Tensor, step: Step) -> Tensor:
        if step.is_context:
            self.context.finite.check(k, v, self.layer, step)
        self._k = self._put(self._k, k, step)
        self._v = self._put(self._v, v, step)
        keys, values = (readable(buffer, step).to(q.dtype) for buffer in (self._k, self._v))
        return self.context.kernel.partial(q, keys, values).out

    def _put(self, buffer: Tensor | None, x: Tensor, step: Step) -> Tensor:
        if buffer is None or buffer.shape[1] < step.stop:
            shape = (x.shape[0], step.stop, *x.shape[2:])
            grown = torch.empty(shape, dtype=self.context.dtype, device=x.device)
            if buffer is not None:
                grown[:, : buffer.shape[1]].copy_(buffer)
            buffer = grown
        buffer[:, step.start : step.stop].copy_(x)
        return buffer

    def materialise(self, tokens: int) -> Materialised:
        assert self._k is not None
        assert self._v is not None
        present = torch.ones(tokens, self._k.shape[2], dtype=torch.bool, device=self._k.device)
        return Materialised(self._k[:, :tokens], self._v[:, :tokens], present)


def readable(buffer: Tensor, step: Step) -> Tensor:
    """What a chunk may read of a buffer that starts at the rollout's first token, itself included.

    A view, unless the sink lies apart from the rest.
    """
    (first, last), *others = (*step.visible_history(), (step.start, step.stop))
    apart = []
    for start, stop in others:
        if start != last:
            apart.append(buffer[:, first:last])
            first = start
        last = stop
    return torch.cat([*apart, buffer[:, first:last]], dim=1) if apart else buffer[:, first:last]
