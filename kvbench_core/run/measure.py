"""Time and memory of the phases of a cell."""

from __future__ import annotations

import ctypes
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import torch
from attrs import evolve

from kvbench_core.run.records import Peak

SAMPLE_S = 0.005


def peak_counter(device: torch.device) -> str:
    """What a :class:`Phase` reads, in words."""
    if device.type == "cuda":
        return "torch.cuda.max_memory_allocated"
    return f"resident set of the process, sampled every {SAMPLE_S * 1000:.0f} ms"


def memory_in_use(device: torch.device) -> int:
    """Bytes in use now, by the counter whose peak a :class:`Phase` reads."""
    if device.type == "cuda":
        return int(torch.cuda.memory_allocated(device))
    return int(psutil.Process().memory_info().rss)


class Phase:
    """Memory and wall time of what happens inside; may be entered again and then adds up.

    ``peak`` is the highest of all times, ``peak.before_bytes`` that of the first.
    """

    peak: Peak

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._meter: _CudaMeter | _ResidentMeter | None = None
        self._began = 0.0
        self._peaks: list[Peak] = []
        self.seconds = 0.0

    def __enter__(self) -> Phase:
        cuda = self._device.type == "cuda"
        self._meter = _CudaMeter(self._device) if cuda else _ResidentMeter()
        self._began = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        if self._meter is None:
            return
        settle(self._device)
        self.seconds += time.perf_counter() - self._began
        self._peaks.append(self._meter.stop())
        self._meter = None
        highest = max(peak.peak_bytes for peak in self._peaks)
        self.peak = evolve(self._peaks[0], peak_bytes=highest)

    @contextmanager
    def interrupted(self) -> Iterator[None]:
        """Leave the phase for a while."""
        self.__exit__()
        yield
        self.__enter__()


def settle(device: torch.device) -> None:
    """Wait until the device has done what it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


class _CudaMeter:
    def __init__(self, device: torch.device) -> None:
        self._device = device
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        self._before = torch.cuda.memory_allocated(device)

    def stop(self) -> Peak:
        peak = torch.cuda.max_memory_allocated(self._device)
        return Peak(before_bytes=self._before, peak_bytes=peak)


class _ResidentMeter:
    def __init__(self) -> None:
        _return_free_memory()
        self._process = psutil.Process()
        self._before = self._peak = self._process.memory_info().rss
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()

    def _sample(self) -> None:
        while not self._done.wait(SAMPLE_S):
            self._peak = max(self._peak, self._process.memory_info().rss)

    def stop(self) -> Peak:
        self._done.set()
        self._thread.join()
        peak = max(self._peak, self._process.memory_info().rss)
        return Peak(before_bytes=self._before, peak_bytes=peak)


def _return_free_memory() -> None:
    # The C library keeps freed memory, so that the cell before would count in this one's peak.
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
