"""Time and cache size after each chunk of a rollout."""

from __future__ import annotations

import time
from typing import Any

from attrs import define, field

from kvbench_core.errors import BackendError
from kvbench_core.geometry import Step
from kvbench_core.run.measure import memory_in_use, settle
from kvbench_core.session import CacheSession


@define
class Meter:
    """What was seen after each chunk: seconds, bytes of the cache, in bf16, and of all memory."""

    frames: int = 0
    chunk_s: list[float] = field(factory=list)
    stored_bytes: list[int] = field(factory=list)
    dense_bytes: list[int] = field(factory=list)
    memory_bytes: list[int] = field(factory=list)


class MeteredSession(CacheSession):
    """A session that measures. A chunk ends when the next one begins, its clean pass included."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.meter = Meter()
        self._began = time.perf_counter()

    def begin_pass(self, step: Step) -> None:
        if self._step is not None and self._step.chunk != step.chunk:
            self.end_chunk()
        super().begin_pass(step)

    def end_chunk(self) -> None:
        """Measure; the generator's return ends the last chunk.

        Once for a chunk: what happens between this and :meth:`resume` is not its time.

        Raises:
            BackendError: there was no chunk, or its clean pass has not run.
            CacheError: keys or values of the chunk are not finite.
        """
        if self._step is not None and len(self.meter.chunk_s) > self._step.chunk:
            return
        settle(self.context.device)
        self.context.finite.settle()
        seconds = time.perf_counter() - self._began
        if self._step is None or not self._step.is_context:
            raise BackendError("the generator ended a chunk without its clean-context pass")
        meter = self.meter
        meter.frames = self._step.start_frame + self._step.frames
        meter.chunk_s.append(seconds)
        meter.memory_bytes.append(memory_in_use(self.context.device))
        meter.stored_bytes.append(self.stored_bytes())
        meter.dense_bytes.append(self.context.geometry.dense_bytes(meter.frames))
        self.resume()  # the bookkeeping above is not the method's time

    def resume(self) -> None:
        """The next chunk's time begins now."""
        self._began = time.perf_counter()
