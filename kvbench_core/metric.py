"""Metrics: scores of finished videos."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import ClassVar, Literal, Protocol, final

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

from kvbench_core.drift import mean
from kvbench_core.errors import KvbenchError

Frame = NDArray[np.uint8]
"""One video frame, RGB, ``[height, width, 3]``."""


class Video(Protocol):
    """A stored video, decoded frame by frame, so that memory does not grow with its length."""

    @property
    def fps(self) -> float:
        """Frames per second at which the video is meant to be shown."""

    def __iter__(self) -> Iterator[Frame]:
        """All frames in order; each pass decodes anew."""

    def __len__(self) -> int:
        """The number of frames."""


@frozen
class Prefix:
    """The first ``length`` frames of a video, as a video."""

    video: Video
    length: int

    @property
    def fps(self) -> float:
        """The video's own."""
        return self.video.fps

    def __iter__(self) -> Iterator[Frame]:
        return islice(self.video, self.length)

    def __len__(self) -> int:
        return self.length


@frozen(kw_only=True)
class Column:
    """One figure that a metric yields."""

    name: str
    unit: str
    better: Literal["higher", "lower"]
    summary: str


@frozen(kw_only=True)
class Scores:
    """A video's scores by column, and the per-frame figures behind them where there are any.

    A value is ``None`` where the metric is not defined, such as the PSNR of equal videos;
    ``notes`` then says why.
    """

    values: Mapping[str, float | None]
    per_frame: Mapping[str, list[float | None]] = field(factory=dict)
    notes: Mapping[str, str | int] = field(factory=dict)


class Metric(ABC):
    """Scores one video, alone or against the BF16 video of the same prompt and seed."""

    name: ClassVar[str]
    version: ClassVar[str]
    """Changes whenever the figures may change: results of another version are stale."""
    columns: ClassVar[tuple[Column, ...]]
    needs_reference: ClassVar[bool] = False
    drift: ClassVar[Literal["frames", "prefixes"] | None] = None
    """Where the curve of each column over growing prefixes of the video comes from.

    ``"frames"``: a column is the mean of its ``per_frame`` figures, those that are ``None`` left
    out; the curve costs nothing. ``"prefixes"``: each prefix is scored as a video of its own, at
    about three times the cost for 165 frames. ``None``: there is no curve.
    """

    def check_available(self) -> None:  # noqa: B027 - most metrics need nothing
        """Look, without loading anything large, whether the metric can run on this machine.

        Called once, before :meth:`settings` and :meth:`score`. Models are loaded by the first
        :meth:`score`, and kept: a worker process scores many videos with one instance.

        Raises:
            MetricUnavailableError: weights or a package are missing; the message says which file or
                package, and how to supply it.
        """

    @abstractmethod
    def settings(self) -> Mapping[str, str | int | float | bool]:
        """Everything that the figures depend on, recorded beside them."""

    @abstractmethod
    def score(self, video: Video, reference: Video | None, prompt: str) -> Scores:
        """Score ``video``; ``reference`` is given if :attr:`needs_reference`.

        Raises:
            Exception: the video cannot be scored; it costs this video's score alone.
        """


class FrameMetric(Metric):
    """A metric of single frames: a column is the mean over the frames that have a figure.

    All metrics of this kind share one pass over the decoded video.
    """

    drift: ClassVar[Literal["frames", "prefixes"] | None] = "frames"

    @abstractmethod
    def score_frame(self, frame: Frame, reference: Frame | None) -> Mapping[str, float | None]:
        """Each column's figure for one frame, ``None`` where it is not defined.

        ``reference`` has the size of ``frame``, and is given if :attr:`needs_reference`.
        """

    def notes(self, per_frame: Mapping[str, list[float | None]]) -> Mapping[str, str | int]:
        """What to say about the figures, such as why there is none."""
        return {}

    @final
    def score(self, video: Video, reference: Video | None, prompt: str) -> Scores:
        """Score frame by frame.

        Raises:
            KvbenchError: the videos differ in length or size, or have no frame.
        """
        return self.summarise([self.score_frame(*pair) for pair in pairs(video, reference)])

    @final
    def summarise(self, figures: Sequence[Mapping[str, float | None]]) -> Scores:
        """The scores of a video from what :meth:`score_frame` said about each of its frames.

        Raises:
            KvbenchError: it gave other columns than the declared ones.
        """
        names = [column.name for column in self.columns]
        for number, figure in enumerate(figures):
            if figure.keys() != set(names):
                raise KvbenchError(
                    f"{self.name} gave columns {sorted(figure)} for frame {number}; "
                    f"it declares {sorted(names)}"
                )
        per_frame = {name: [figure[name] for figure in figures] for name in names}
        return Scores(
            values={name: mean(series) for name, series in per_frame.items()},
            per_frame=per_frame,
            notes=self.notes(per_frame),
        )


def pairs(video: Video, reference: Video | None) -> Iterator[tuple[Frame, Frame | None]]:
    """Each frame, with the reference's where there is one; two at a time in memory.

    Raises:
        KvbenchError: the videos differ in length or size, or have no frame.
    """
    if not len(video):
        raise KvbenchError("the video has no frame")
    if reference is None:
        yield from ((frame, None) for frame in video)
        return
    if len(video) != len(reference):
        raise KvbenchError(
            f"the video has {len(video)} frames and the BF16 video {len(reference)}; "
            "both must have the same number"
        )
    for number, (frame, other) in enumerate(zip(video, reference, strict=True)):
        if frame.shape != other.shape:
            raise KvbenchError(
                f"frame {number} is {_size(frame)} and the BF16 video's is {_size(other)}; "
                "both must have the same size"
            )
        yield frame, other


def require_side(metric: str, frame: Frame, side: int) -> None:
    """Refuse frames on which a metric is not defined.

    Raises:
        KvbenchError: the frame is lower or narrower than ``side`` pixels.
    """
    if min(frame.shape[:2]) < side:
        raise KvbenchError(
            f"{metric}: frames must be at least {side} x {side} pixels; got {_size(frame)}"
        )


def _size(frame: Frame) -> str:
    """``width x height``, and the number of channels if it is not 3."""
    height, width, *channels = frame.shape
    return f"{width} x {height}" + ("" if channels == [3] else f" in {channels} channels")
