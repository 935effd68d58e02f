"""Drift: how a score develops over a video, as its curve over growing prefixes.

A prefix is the first N frames of the stored video itself. The published study cut its clips out and
encoded each once more with loss; nothing is encoded again here.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean, linear_regression

from attrs import Attribute, field, frozen

STEP_FRAMES = 50
"""The published study's step between prefixes."""


def prefix_lengths(frames: int) -> list[int]:
    """The prefixes of a video of ``frames`` frames: multiples of a step, then the whole.

    The step is 50 frames as in the published study (165 frames: 50, 100, 150, 165), and a third of
    a video that is shorter than 150 (42 frames: 14, 28, 42).
    """
    step = min(STEP_FRAMES, max(1, frames // 3))
    return [*range(step, frames, step), frames]


def mean(figures: Sequence[float | None]) -> float | None:
    """The mean of the figures that are defined; ``None`` if none is."""
    defined = [figure for figure in figures if figure is not None]
    return fmean(defined) if defined else None


@frozen
class Curve:
    """A column's score on growing prefixes of one video.

    ``frames`` are the prefixes' lengths in video frames, ``scores`` the column's values on them,
    ``None`` where the metric is not defined.
    """

    frames: list[int] = field()
    scores: list[float | None]

    @frames.validator
    def _grow(self, _: Attribute[list[int]], frames: list[int]) -> None:
        if not frames or frames != sorted(set(frames)) or frames[0] < 1:
            raise ValueError("frames must be growing lengths")

    def __attrs_post_init__(self) -> None:
        if len(self.frames) != len(self.scores):
            raise ValueError("there must be one score for each prefix")

    @classmethod
    def of_means(cls, per_frame: Sequence[float | None]) -> Curve:
        """The curve of a score that is the mean of ``per_frame``, which must not be empty."""
        lengths = prefix_lengths(len(per_frame))
        return cls(lengths, [mean(per_frame[:length]) for length in lengths])

    @property
    def last(self) -> float | None:
        """The score of the longest prefix, which the study calls drift-last."""
        return self.scores[-1]

    @property
    def slope(self) -> float | None:
        """The least-squares slope in units of the score per 100 frames.

        ``None`` where fewer than two prefixes have a score.
        """
        points = [
            (frames / 100, score)
            for frames, score in zip(self.frames, self.scores, strict=True)
            if score is not None
        ]
        return linear_regression(*zip(*points, strict=True)).slope if len(points) > 1 else None
