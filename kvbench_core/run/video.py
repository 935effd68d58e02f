"""Lossless videos: written frame by frame, read frame by frame."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from kvbench_core.errors import StoreError
from kvbench_core.metric import Frame


@frozen
class Coding:
    """How frames are coded in an mp4 file."""

    codec: str
    pixels: str
    options: dict[str, str]


# RGB and quantiser 0: decoding gives back every bit, which yuv420p never does.
LOSSLESS = Coding("libx264rgb", "rgb24", {"crf": "0", "preset": "ultrafast"})
PREVIEW = Coding("libx264", "yuv420p", {"crf": "18", "preset": "fast"})


class VideoWriter:
    """One mp4 file that grows by frames; closing it completes it."""

    def __init__(self, path: Path, fps: float, coding: Coding) -> None:
        self._container = av.open(str(path), "w", format="mp4")
        self._rate = Fraction(fps).limit_denominator(1001)
        self._coding = coding
        self._stream: Any = None

    def add(self, frame: Frame) -> None:
        """Append one frame ``[height, width, 3]``; all frames have one size."""
        if self._coding.pixels == "yuv420p":  # has a colour sample for 2 x 2 pixels
            frame = frame[: frame.shape[0] // 2 * 2, : frame.shape[1] // 2 * 2]
        if self._stream is None:
            self._stream = self._container.add_stream(
                self._coding.codec, rate=self._rate, options=self._coding.options
            )
            self._stream.height, self._stream.width = frame.shape[:2]
            self._stream.pix_fmt = self._coding.pixels
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
        self._container.mux(self._stream.encode(picture))

    def close(self) -> None:
        """Write what is still in the coder, and the index without which nothing can be read."""
        if self._stream is not None:
            self._container.mux(self._stream.encode())
        self._container.close()


def write_video(
    pieces: Iterable[NDArray[np.uint8]], fps: float, path: Path, coding: Coding = LOSSLESS
) -> tuple[int, int, int]:
    """Write ``[frame, height, width, 3]`` pieces; returns frames, height and width.

    Raises:
        StoreError: there is no frame, or a frame has another size than the first.
    """
    frames, size = 0, (0, 0)
    with closing(VideoWriter(path, fps, coding)) as writer:
        for piece in pieces:
            for frame in piece:
                size = size if frames else (frame.shape[0], frame.shape[1])
                if frame.dtype != np.uint8 or frame.shape != (*size, 3):
                    raise StoreError(f"frame {frames} is {frame.dtype} {frame.shape}, not {size}")
                writer.add(frame)
                frames += 1
    if not frames:
        raise StoreError("the generator decoded no frame")
    return frames, *size


class StoredVideo:
    """A video file as a :class:`~kvbench_core.metric.Video`; each pass opens the file anew."""

    def __init__(self, path: Path, frames: int, fps: float) -> None:
        self._path = path
        self._frames = frames
        self.fps = fps

    def __len__(self) -> int:
        return self._frames

    def __iter__(self) -> Iterator[Frame]:
        """Frames ``[height, width, 3]`` in order.

        Raises:
            StoreError: the file is missing, damaged or has another number of frames.
        """
        found = 0
        try:
            # The format is not guessed: a playlist under this name could name any other file.
            with av.open(str(self._path), format="mp4") as container:
                # Damage must not be painted over, as players do.
                container.streams.video[0].codec_context.options = {"err_detect": "explode"}
                container.streams.video[0].thread_type = "AUTO"  # decodes ahead of the reader
                for picture in container.decode(video=0):
                    yield np.asarray(picture.to_ndarray(format="rgb24"), dtype=np.uint8)
                    found += 1
        except (av.FFmpegError, IndexError, OSError) as error:
            raise StoreError(f"cannot read {self._path}: {error}") from error
        if found != self._frames:
            raise StoreError(f"{self._path} has {found} frames; {self._frames} were recorded")


def write_preview(video: StoredVideo, path: Path) -> None:
    """A smaller copy that every browser plays; its pixels differ, so nothing is measured on it."""
    write_video((frame[np.newaxis] for frame in video), video.fps, path, PREVIEW)
