"""Another cache without what nothing can read any more."""

from __future__ import annotations

from torch import Tensor

from kvbench_core.cache.layer import LayerCache, Materialised
from kvbench_core.geometry import Step


class WindowCache(LayerCache):
    """Tells ``cache``, before each chunk, to forget what neither it nor a later one can read.

    Raises:
        CacheError: ``cache`` is of a class that cannot forget.
    """

    def __init__(self, cache: LayerCache) -> None:
        super().__init__(cache.layer, cache.context)
        self._cache = cache
        self._chunk = -1
        cache.forget(0, 0)  # who cannot forget says so now, before anything is generated

    def attend(self, q: Tensor, k: Tensor, v: Tensor, step: Step) -> Tensor:
        if step.chunk != self._chunk:
            self._chunk = step.chunk
            with self.context.clock("encode"):
                self._cache.forget(*step.unreadable())
        return self._cache.attend(q, k, v, step)

    def materialise(self, tokens: int) -> Materialised:
        return self._cache.materialise(tokens)
