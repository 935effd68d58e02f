"""The columns that a run measures itself, and what is known of scores beyond their metric."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence

from attrs import evolve

from kvbench_core.run.records import ColumnRecord, Figures, ScoreRecord
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
            lambda figures: figures.kv_stored_bytes[-1],
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
    "lpips_squeeze": 0.0,
    "lpips_vgg": 0.0,
    "stlpips": 0.0,
}
"""What a video scores against itself; the reference is not evaluated against itself."""


def score_columns(
    declared: ColumnRecord, scores: Sequence[ScoreRecord]
) -> Iterator[tuple[Column, Callable[[ScoreRecord], float | None]]]:
    """What a metric's column gives: its value, and the end and the slope of its drift curve.

    ``scores`` are the metric's results, at least one.
    """
    name = declared.name
    relative = any(score.reference_sha256 for score in scores)
    of_itself = OF_REFERENCE.get(name) if relative else None
    value = Column(
        name=name,
        unit="" if declared.unit == "1" else declared.unit,
        better=declared.better,
        summary=declared.summary,
        metric=f"{scores[0].metric} {', '.join(sorted({s.metric_version for s in scores}))}",
        of_reference=of_itself,
    )
    yield value, lambda score: score.values.get(name)
    if any(name in score.drift for score in scores):
        last = evolve(
            value, name=f"{name}_drift_last", summary=f"{declared.summary}; longest prefix"
        )
        yield last, lambda score: score.drift[name].last if name in score.drift else None
        slope = evolve(
            value,
            name=f"{name}_drift_slope",
            unit=f"{value.unit} per 100 frames".lstrip(),
            summary=f"{declared.summary}; slope over growing prefixes",
            of_reference=0.0 if of_itself is not None and math.isfinite(of_itself) else None,
        )
        yield slope, lambda score: score.drift[name].slope if name in score.drift else None
