"""The metric ``psnr``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from skimage.metrics import peak_signal_noise_ratio

from kvbench_core.metric import Column, Frame, FrameMetric

DATA_RANGE = 255
"""Largest value of a uint8 pixel."""


class Psnr(FrameMetric):
    """``10 log10(255^2 / mean squared error)`` in dB, the mean over the frames that differ.

    A frame that equals the reference has no error and an infinite PSNR; one such frame would make
    the mean infinite. The first chunk is exact for every cache that does not skip computation, so
    equal frames are the rule: they are counted in the note ``equal_frames`` and left out. If all
    frames are equal the value is ``None``.
    """

    name: ClassVar[str] = "psnr"
    version: ClassVar[str] = "1"
    columns: ClassVar[tuple[Column, ...]] = (
        Column(
            name="psnr",
            unit="dB",
            better="higher",
            summary="PSNR to BF16, mean over the frames that differ",
        ),
    )
    needs_reference: ClassVar[bool] = True

    def settings(self) -> Mapping[str, str | int | float | bool]:
        return {
            "function": "skimage.metrics.peak_signal_noise_ratio",
            "data_range": DATA_RANGE,
            "equal_frames": "left out of the mean",
        }

    def score_frame(self, frame: Frame, reference: Frame | None) -> Mapping[str, float | None]:
        assert reference is not None
        if np.array_equal(frame, reference):
            return {"psnr": None}
        decibels = peak_signal_noise_ratio(  # type: ignore[no-untyped-call]
            reference, frame, data_range=DATA_RANGE
        )
        return {"psnr": float(decibels)}

    def notes(self, per_frame: Mapping[str, list[float | None]]) -> Mapping[str, str | int]:
        equal = per_frame["psnr"].count(None)
        if equal == len(per_frame["psnr"]):
            reason = "every frame equals the BF16 video's, so PSNR is infinite"
            return {"equal_frames": equal, "reason": reason}
        return {"equal_frames": equal}
