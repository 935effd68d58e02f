"""The columns that a run measures itself, and what is known of scores beyond their metric."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from kvbench_core.run.records import Figures
from kvbench_report.results import Column

Reader = Callable[[Figures], float | None]

FIGURES: Mapping[str, tuple[Column, Reader]] = {
    column.name: (column, read)
    for column, read in (
        (
            Column(
                name="compression_ratio",
                unit="x",
                better="higher",
                summary="bf16 bytes of the rollout's keys and values over the bytes stored",
            ),
            lambda figures: figures.compression_ratio,
        ),
        (
            Column(
                name="stored_bytes",
                unit="bytes",
                better="lower",
                summary="what the caches hold after the last chunk",
            ),
            lambda figures: figures.kv_stored_bytes[-1] if figures.kv_stored_bytes else None,
        ),
        (
            Column(
                name="peak_bytes",
                unit="bytes",
                better="lower",
                summary="highest memory of generation and video decoding",
                over_prompts="max",
            ),
            lambda figures: max(figures.generation.peak_bytes, figures.decoding.peak_bytes),
        ),
        (
            Column(
                name="generation_peak_bytes",
                unit="bytes",
                better="lower",
                summary="highest memory of generation",
                over_prompts="max",
            ),
            lambda figures: figures.generation.peak_bytes,
        ),
        (
            Column(
                name="decoding_peak_bytes",
                unit="bytes",
                better="lower",
                summary="highest memory of video decoding",
                over_prompts="max",
            ),
            lambda figures: figures.decoding.peak_bytes,
        ),
        (
            Column(name="runtime_s", unit="s", better="lower", summary="time of the generation"),
            lambda figures: figures.wall_s,
        ),
        (
            Column(
                name="encode_s",
                unit="s",
                better="lower",
                summary="time spent coding tokens into the cache",
            ),
            lambda figures: figures.encode_s,
        ),
        (
            Column(
                name="decode_s",
                unit="s",
                better="lower",
                summary="time spent decoding tokens out of the cache",
            ),
            lambda figures: figures.decode_s,
        ),
    )
}

OF_REFERENCE: Mapping[str, float] = {
    "psnr": math.inf,
    "ssim": 1.0,
    "lpips": 0.0,
    "stlpips": 0.0,
}
"""What a video scores against itself; the reference is not evaluated against itself."""
