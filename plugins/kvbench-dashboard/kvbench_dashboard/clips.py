"""Decoded videos in a temporary folder, so that any frame of them is at hand."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from threading import Condition, Lock, Thread
from typing import TYPE_CHECKING

from kvbench_core.errors import KvbenchError, StoreError
from kvbench_core.run.records import VideoFile
from kvbench_core.run.store import RunStore

if TYPE_CHECKING:
    from kvbench_core.metric import Frame

LIMIT_BYTES = 4 * 2**30


class Clip:
    """One video, decoded in the background into a file of raw frames.

    A lossless video has few key frames, so it is decoded once from its beginning; a frame can be
    had as soon as it has come by.
    """

    def __init__(self, source: Path, video: VideoFile, raw: Path) -> None:
        import numpy as np

        self.size_bytes = video.frames * video.height * video.width * 3
        if self.size_bytes > LIMIT_BYTES:
            raise StoreError(f"{source} is too long to be shown: {self.size_bytes:,} bytes decoded")
        shape = (video.frames, video.height, video.width, 3)
        self._raw = raw
        self._frames = np.memmap(raw, np.uint8, "w+", shape=shape)
        self._decoded = 0
        self._error: KvbenchError | None = None
        self._progress = Condition()
        Thread(target=self._decode, args=(source, video), daemon=True).start()

    def _decode(self, source: Path, video: VideoFile) -> None:
        from kvbench_core.run.video import StoredVideo  # loads FFmpeg, which no other page needs

        try:
            for index, frame in enumerate(StoredVideo(source, video.frames, video.fps)):
                if index == len(self._frames) or frame.shape != self._frames.shape[1:]:
                    raise StoreError("the video is not what its record says")
                self._frames[index] = frame
                with self._progress:
                    self._decoded = index + 1
                    self._progress.notify_all()
        except KvbenchError as error:
            with self._progress:
                self._error = error
                self._progress.notify_all()

    def frame(self, index: int) -> Frame:
        """Frame ``[height, width, 3]``, as soon as it is decoded.

        Raises:
            KvbenchError: there is no such frame, or the video cannot be read up to it.
        """
        if index >= len(self._frames):
            raise StoreError(f"the video has {len(self._frames)} frames")
        with self._progress:
            self._progress.wait_for(lambda: self._decoded > index or self._error is not None)
            if self._decoded <= index:
                assert self._error is not None
                raise self._error
        frame: Frame = self._frames[index]
        return frame

    @property
    def failed(self) -> bool:
        """Whether the video could not be read to its end."""
        return self._error is not None

    def discard(self) -> None:
        """Free the disk; who still reads a frame may finish."""
        self._raw.unlink(missing_ok=True)


class Clips:
    """The clips that were looked at last, within ``LIMIT_BYTES`` of a folder of their own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._clips: OrderedDict[tuple[Path, str, str], Clip] = OrderedDict()
        self._lock = Lock()
        self._made = 0

    def get(self, store: RunStore, cell: str) -> Clip:
        """The clip of a cell of a run.

        Raises:
            KvbenchError: the cell has no video.
        """
        record = store.cell(cell)
        if record is None or record.video is None:
            raise StoreError(f"cell {cell} has no video")
        key = (store.root, cell, record.video.sha256)
        with self._lock:
            if key not in self._clips or self._clips[key].failed:  # it may have been repaired
                self._made += 1
                raw = self._folder / f"{self._made}.rgb"
                self._clips[key] = Clip(store.video_path(cell), record.video, raw)
                self._forget_oldest()
            self._clips.move_to_end(key)
            return self._clips[key]

    def _forget_oldest(self) -> None:
        while sum(clip.size_bytes for clip in self._clips.values()) > LIMIT_BYTES:
            _, oldest = self._clips.popitem(last=False)
            oldest.discard()
