"""Two videos, frame against frame."""

from __future__ import annotations

from collections.abc import Iterator

from kvbench_core.errors import KvbenchError
from kvbench_core.metric import Frame, Video

DATA_RANGE = 255
"""Largest value of a uint8 pixel."""


def pairs(metric: str, video: Video, reference: Video) -> Iterator[tuple[Frame, Frame]]:
    """Each frame with the reference's, two at a time in memory.

    Raises:
        KvbenchError: the videos differ in length or size, or have no frame.
    """
    if len(video) != len(reference) or not len(video):
        raise KvbenchError(
            f"{metric}: the video has {len(video)} frames and the BF16 video {len(reference)}; "
            "both must have the same number, at least one"
        )
    for number, (frame, other) in enumerate(zip(video, reference, strict=True)):
        if frame.shape != other.shape:
            raise KvbenchError(
                f"{metric}: frame {number} is {_size(frame)} and the BF16 video's is "
                f"{_size(other)}; both must have the same size"
            )
        yield frame, other


def _size(frame: Frame) -> str:
    """``width x height``, and the number of channels if it is not 3."""
    height, width, *channels = frame.shape
    return f"{width} x {height}" + ("" if channels == [3] else f" in {channels} channels")
