"""The metric ``piqe``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from kvbench_core.metric import Column, Frame, FrameMetric, require_side

BLOCK = 16
SEGMENT = 6
"""Pixels of a block's edge that are looked at together."""
ACTIVITY = 0.1
"""Variance above which a block counts."""
FLAT = 0.1
"""Standard deviation below which a segment is an artefact."""
LUMA = (0.299, 0.587, 0.114)

Array = NDArray[np.float64]


class Piqe(FrameMetric):
    """Perception-based image quality evaluator, mean over all frames; 0 is best, 100 worst.

    Venkatanath et al. 2015, doi:10.1109/NCC.2015.7084843. Needs neither a reference nor weights:
    blocks of 16 x 16 pixels in which something happens are searched for flat edges (blocking, blur)
    and for noise. Made for photographs; on drawings compare only with the BF16 video's score.

    The figures are those of pyiqa 0.1.16, without its dependencies.
    """

    name: ClassVar[str] = "piqe"
    version: ClassVar[str] = "1"
    columns: ClassVar[tuple[Column, ...]] = (
        Column(name="piqe", unit="", better="lower", summary="PIQE, mean over frames"),
    )

    def settings(self) -> Mapping[str, str | int | float | bool]:
        return {
            "block": BLOCK,
            "segment": SEGMENT,
            "activity_threshold": ACTIVITY,
            "flat_threshold": FLAT,
        }

    def score_frame(self, frame: Frame, reference: Frame | None) -> Mapping[str, float | None]:
        require_side(self.name, frame, BLOCK)
        return {"piqe": piqe(frame)}


def piqe(frame: Frame) -> float:
    """``100 (1 + D) / (1 + N)``: N active blocks with D distortion in all."""
    blocks = _blocks(_normalised(_luma(frame)))
    variance = blocks.var(axis=(1, 2), ddof=1)
    active = variance > ACTIVITY
    distortion = _has_flat_edge(blocks) * (1 - variance) + _is_noisy(blocks, variance) * variance
    return float(100 * (1 + distortion[active].sum()) / (1 + active.sum()))


def _luma(frame: Frame) -> Array:
    """``[height, width]``, the brightest pixel at 255, mirrored where blocks would not fit.

    By ``size % 16`` pixels, which fills the last block only if that is 8 or more: so does pyiqa.
    """
    luma = frame @ np.array(LUMA)
    luma = np.round(255 * luma / max(luma.max(), 1e-6))
    height, width = luma.shape
    return np.pad(luma, ((0, height % BLOCK), (0, width % BLOCK)), mode="symmetric")


def _normalised(luma: Array) -> Array:
    """Mean-subtracted, contrast-normalised: Gaussian window of 7 x 7, sigma 7/6."""

    def blur(image: Array) -> Array:
        blurred: Array = gaussian_filter(image, sigma=7 / 6, radius=3, mode="nearest")
        return blurred

    mean = blur(luma)
    deviation = np.sqrt(np.abs(blur(luma**2) - mean**2))
    normalised: Array = (luma - mean) / (deviation + 1)
    return normalised


def _blocks(image: Array) -> Array:
    """``[block, 16, 16]``; what does not fill a block is left out."""
    rows, columns = (size // BLOCK for size in image.shape)
    cut = image[: rows * BLOCK, : columns * BLOCK].reshape(rows, BLOCK, columns, BLOCK)
    return cut.swapaxes(1, 2).reshape(-1, BLOCK, BLOCK)


def _has_flat_edge(blocks: Array) -> NDArray[np.bool_]:
    """Whether some segment of a block's four edges is flat."""
    edges = (blocks[:, 0], blocks[:, -1], blocks[:, :, 0], blocks[:, :, -1])
    segments = np.lib.stride_tricks.sliding_window_view(np.stack(edges), SEGMENT, axis=-1)
    flat: NDArray[np.bool_] = (segments.std(axis=-1, ddof=1) < FLAT).any(axis=(0, 2))
    return flat


def _is_noisy(blocks: Array, variance: Array) -> NDArray[np.bool_]:
    """Whether the two middle columns vary like the rest of the block."""
    deviation = np.sqrt(variance)
    middle = blocks[:, :, 7:9].std(axis=(1, 2), ddof=1)
    # As in the authors' program, which deletes the eighth column and then the ninth of the rest.
    rest = np.delete(blocks, (7, 9), axis=2).std(axis=(1, 2), ddof=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.nan_to_num(middle / rest)
        beta = np.abs(deviation - ratio) / np.maximum(deviation, ratio)
    noisy: NDArray[np.bool_] = deviation > 2 * beta
    return noisy
