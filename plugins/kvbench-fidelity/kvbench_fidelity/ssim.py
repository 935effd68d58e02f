"""The metric ``ssim``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from skimage.metrics import structural_similarity

from kvbench_core.metric import Column, Frame, FrameMetric, require_side

WINDOW = 7
DATA_RANGE = 255
"""Largest value of a uint8 pixel."""


class Ssim(FrameMetric):
    """Structural similarity (Wang et al. 2004, doi:10.1109/TIP.2003.819861), mean over all frames.

    Colour channels apart, then averaged; a uniform 7 x 7 window instead of the paper's Gaussian, as
    in the published study. 1 for equal frames.
    """

    name: ClassVar[str] = "ssim"
    version: ClassVar[str] = "1"
    columns: ClassVar[tuple[Column, ...]] = (
        Column(name="ssim", unit="", better="higher", summary="SSIM to BF16, mean over frames"),
    )
    needs_reference: ClassVar[bool] = True

    def settings(self) -> Mapping[str, str | int | float | bool]:
        return {
            "function": "skimage.metrics.structural_similarity",
            "data_range": DATA_RANGE,
            "window": WINDOW,
            "gaussian_weights": False,
            "channels": "apart, then averaged",
        }

    def score_frame(self, frame: Frame, reference: Frame | None) -> Mapping[str, float | None]:
        require_side(self.name, frame, WINDOW)
        similarity = structural_similarity(  # type: ignore[no-untyped-call]
            reference, frame, win_size=WINDOW, channel_axis=-1, data_range=DATA_RANGE
        )
        return {"ssim": float(similarity)}
