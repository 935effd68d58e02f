"""Frames for ColorVideoVDP, decoded as it asks for them."""

from __future__ import annotations

from itertools import chain

import torch
from pycvvdp import vvdp_display_photometry
from pycvvdp.video_source import video_source_dm

from kvbench_core.metric import Frame, Video, pairs


class FrameSource(video_source_dm):  # type: ignore[misc]
    """Two videos, frame by frame, so that memory does not grow with their length.

    ColorVideoVDP asks for each frame once, in order, the video's before the reference's.
    """

    def __init__(self, video: Video, reference: Video, photometry: vvdp_display_photometry) -> None:
        super().__init__(display_photometry=photometry)
        frames = pairs(video, reference)
        first = next(frames)
        self._frames = chain([first], frames)
        self._pair = first
        self._size = (*first[0].shape[:2], len(video))
        self._fps = video.fps

    def get_video_size(self) -> tuple[int, ...]:
        """Height, width, frames."""
        return self._size

    def get_frames_per_second(self) -> float:
        """The video's."""
        return self._fps

    def get_test_frame(self, frame: int, device: torch.device, colorspace: str) -> torch.Tensor:
        """The next frame of the video, ``[1, 3, 1, height, width]``."""
        self._pair = next(self._frames)
        return self._shown(self._pair[0], device, colorspace)

    def get_reference_frame(
        self, frame: int, device: torch.device, colorspace: str
    ) -> torch.Tensor:
        """The reference's frame beside it."""
        reference = self._pair[1]
        assert reference is not None
        return self._shown(reference, device, colorspace)

    def _shown(self, frame: Frame, device: torch.device, colorspace: str) -> torch.Tensor:
        """What the display shows of a frame, in ``colorspace``."""
        pixels = torch.from_numpy(frame).to(device).permute(2, 0, 1)[None, :, None] / 255
        shown: torch.Tensor = self.apply_dm_and_color_transform(pixels, colorspace)
        return shown
