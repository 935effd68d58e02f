"""Metrics of single frames, side by side in one pass over the decoded video."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from attrs import define, field

from kvbench_core.metric import Frame, FrameMetric, Scores, Video, pairs


@define
class Series:
    """What one metric says about each frame, and the seconds that it takes."""

    metric: FrameMetric
    figures: list[Mapping[str, float | None]] = field(init=False, factory=list)
    error: Exception | None = field(init=False, default=None)
    seconds: float = field(init=False, default=0.0)

    def add(self, frame: Frame, reference: Frame | None) -> None:
        """Ask the metric about the next frame, unless it has failed before."""
        if self.error is not None:
            return
        began = time.perf_counter()
        try:
            self.figures.append(self.metric.score_frame(frame, reference))
        except Exception as error:  # a metric may raise anything; the others go on
            self.error = error
        self.seconds += time.perf_counter() - began

    def scores(self) -> Scores:
        """The scores of the video.

        Raises:
            Exception: what the metric raised for one of its frames.
        """
        if self.error is not None:
            raise self.error
        return self.metric.summarise(self.figures)


def in_one_pass(
    metrics: Sequence[FrameMetric], video: Video, reference: Video | None
) -> list[Series]:
    """Each metric's series; the time of decoding is shared out evenly.

    Raises:
        KvbenchError: the videos cannot be read, or not be compared.
    """
    began = time.perf_counter()
    series = [Series(metric) for metric in metrics]
    for pair in pairs(video, reference):
        for one in series:
            one.add(*pair)
    decoding = time.perf_counter() - began - sum(one.seconds for one in series)
    for one in series:
        one.seconds += decoding / len(series)
    return series
