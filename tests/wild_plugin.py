"""A plugin whose metrics crash when the environment variable ``WILD`` tells them to.

``WILD`` holds a metric's name, what it is to do, and where: the digest of a frame, or ``start`` for
the moment at which a worker process loads it.
"""

from __future__ import annotations

import hashlib
import os
import signal
import time
from collections.abc import Callable, Mapping
from multiprocessing import parent_process

import numpy as np

from kvbench_core.hookspecs import hookimpl
from kvbench_core.metric import Column, Frame, FrameMetric, Metric, Scores, Video
from kvbench_core.specs import MetricSpec


def fail() -> None:
    raise ArithmeticError("as I was told")


DEEDS: dict[str, Callable[[], object]] = {
    "raise": fail,
    "exit": lambda: os._exit(7),
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
}


def digest(frame: Frame) -> str:
    return hashlib.sha256(frame.tobytes()).hexdigest()


class Wild(FrameMetric):
    version = "1"

    def __init__(self) -> None:
        if parent_process() is not None:
            self._maybe("start")

    def _maybe(self, place: str) -> None:
        metric, deed, where = os.environ.get("WILD", "- - -").split()
        if (metric, where) == (self.name, place):
            DEEDS[deed]()

    def settings(self) -> Mapping[str, str | int | float | bool]:
        return {}

    def score_frame(self, frame: Frame, reference: Frame | None) -> Mapping[str, float | None]:
        self._maybe(digest(frame))
        print("a frame")  # noqa: T201 - as libraries do
        return {self.name: float(frame.mean())}


def column(name: str) -> tuple[Column, ...]:
    return (Column(name=name, unit="", better="higher", summary="Mean brightness"),)


class Left(Wild):
    name, columns = "left", column("left")


class Right(Wild):
    name, columns = "right", column("right")


class Slow(Wild):
    name, columns = "slow", column("slow")

    def score_frame(self, frame: Frame, reference: Frame | None) -> Mapping[str, float | None]:
        time.sleep(0.2)
        return super().score_frame(frame, reference)


class Against(Metric):
    """A metric that needs whole videos, two of them."""

    name, version, columns = "against", "1", column("against")
    needs_reference, drift = True, "prefixes"

    def settings(self) -> Mapping[str, str | int | float | bool]:
        return {}

    def score(self, video: Video, reference: Video | None, prompt: str) -> Scores:
        assert reference is not None
        middle, other = (list(one)[len(video) // 2] for one in (video, reference))
        return Scores(values={self.name: -float(np.abs(middle.astype(float) - other).mean())})


class Moody(Wild):
    """Its scores depend on the process."""

    name, columns = "moody", column("moody")

    def score_frame(self, frame: Frame, reference: Frame | None) -> Mapping[str, float | None]:
        return {self.name: float(os.getpid())}


@hookimpl
def kvbench_metrics() -> list[MetricSpec]:
    return [
        MetricSpec(name=name, family="wild", summary="Light", target=f"wild_plugin:{target}")
        for name, target in (
            ("left", "Left"),
            ("right", "Right"),
            ("slow", "Slow"),
            ("against", "Against"),
            ("moody", "Moody"),
        )
    ]
