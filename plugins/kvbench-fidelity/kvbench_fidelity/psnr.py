"""The metric ``psnr``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from skimage.metrics import peak_signal_noise_ratio

from kvbench_core.metric import Column, Frame, Metric, Scores, Video
from kvbench_fidelity.frames import DATA_RANGE, pairs


class Psnr(Metric):
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

    def score(self, video: Video, reference: Video | None, prompt: str) -> Scores:
        """Score frame by frame; equal frames are ``None`` in ``per_frame``.

        Raises:
            KvbenchError: the videos differ in length or size, or have no frame.
        """
        assert reference is not None
        per_frame = [_decibels(*pair) for pair in pairs(self.name, video, reference)]
        finite = [value for value in per_frame if value is not None]
        notes: dict[str, str | int] = {"equal_frames": len(per_frame) - len(finite)}
        if not finite:
            notes["reason"] = "every frame equals the BF16 video's, so PSNR is infinite"
        return Scores(
            values={"psnr": float(np.mean(finite)) if finite else None},
            per_frame={"psnr": per_frame},
            notes=notes,
        )


def _decibels(frame: Frame, reference: Frame) -> float | None:
    if np.array_equal(frame, reference):
        return None
    decibels = peak_signal_noise_ratio(  # type: ignore[no-untyped-call]
        reference, frame, data_range=DATA_RANGE
    )
    return float(decibels)
