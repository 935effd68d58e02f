"""Metrics: scores of finished videos."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import ClassVar, Literal, Protocol

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

Frame = NDArray[np.uint8]
"""One video frame, RGB, ``[height, width, 3]``."""


class Video(Protocol):
    """A stored video, decoded frame by frame, so that memory does not grow with its length."""

    @property
    def fps(self) -> float:
        """Frames per second."""

    def __iter__(self) -> Iterator[Frame]: ...

    def __len__(self) -> int: ...


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

    @abstractmethod
    def settings(self) -> Mapping[str, str | int | float | bool]:
        """Everything that the figures depend on, recorded beside them."""

    @abstractmethod
    def score(self, video: Video, reference: Video | None, prompt: str) -> Scores:
        """Score ``video``; ``reference`` is given if :attr:`needs_reference`."""
