"""D13, D15, D18 to D21: what the published figures say about themselves."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from benchmarks.containers import UNEXPLAINED, peaks
from benchmarks.pages import code, table
from benchmarks.stats import pearson
from kvbench_core.budget import footprint
from kvbench_core.published import BENCHMARKS, GIB, drift_curve, method_figures, trace_peaks
from kvbench_core.registry import Registry
from kvbench_report.peaks import BACKEND, FRAMES

VIDEO_BYTES = 165 * 3 * 480 * 832 * 4  # fp32
LATENT_BYTES = 42 * 16 * 60 * 104 * 2  # bf16
LEFT_OVER_BYTES = VIDEO_BYTES + LATENT_BYTES
AGED = (
    "key_outliers(inner=prq(bits=2, residual_bits=2), threshold=6.0, max_share={})"
    "+age(share={}, newest=rtn(bits=4))"
)


def d13(_: Registry) -> str:
    """The previous video in the peak."""
    rows = [
        {
            "method": code(name),
            "published peak GiB": f"{peak / GIB:.3f}",
            "without the previous output": f"{(peak - LEFT_OVER_BYTES) / GIB:.3f}",
        }
        for name in ("BF16", "RTN_INT4", "FLOWCACHE_SOFT_PRUNE_INT4")
        for peak in (method_figures("moviegen")[name].peak_vram_bytes,)
    ]
    return (
        f"165 frames of 480 x 832 in fp32 and 42 latent frames in bf16 are {LEFT_OVER_BYTES:,} "
        f"bytes, {LEFT_OVER_BYTES / GIB:.4f} GiB.\n\n{table(rows)}"
    )


def d14(_: Registry) -> str:
    """Published PSNR that are infinite."""
    return " ".join(
        f"{benchmark}: {sum(math.isinf(row.psnr_db) for row in figures.values()) - 1} of "
        f"{len(figures) - 1} compressed methods have an infinite published PSNR."
        for benchmark in BENCHMARKS
        for figures in (method_figures(benchmark),)
    )


def d15(_: Registry) -> str:
    """Sampled peaks against the allocator's."""
    rows = []
    for benchmark in BENCHMARKS:
        figures = method_figures(benchmark)
        # The traces are those of the first prompt, before which there was no other video.
        gaps = {
            name: (figures[name].peak_vram_bytes - LEFT_OVER_BYTES) / GIB
            - trace.sampled_peak_allocated_gib
            for name, trace in trace_peaks(benchmark).items()
        }
        most = max(gaps, key=lambda name: gaps[name])
        rows.append(
            {
                "benchmark": benchmark,
                "methods": len(gaps),
                "missed GiB, mean": f"{np.mean(list(gaps.values())):.2f}",
                "least": f"{min(gaps.values()):.2f}",
                "most": f"{gaps[most]:.2f}",
                "by": code(most),
            }
        )
    return table(rows)


def d18(registry: Registry) -> str:
    """What other parameters of two methods come to."""
    backend = registry.backend(BACKEND)
    rows = []
    for text in [
        *(AGED.format(most, share) for most, share in _aged()),
        "FLOWCACHE_PRUNE_INT2",
        "FLOWCACHE_PRUNE_INT2(retained_share=0.45)",
        "FLOWCACHE_PRUNE_INT4",
    ]:
        ratio = footprint(registry.policy(text), backend, FRAMES).compression_ratio
        rows.append({"method": code(text), "planned ratio": f"{ratio:.3f}"})
    return table(rows)


def _aged() -> Iterator[tuple[float, float]]:
    yield from ((0.001, 0.15), (0.002, 0.2), (0.003, 0.25), (0.005, 0.3))


def d19(_: Registry) -> str:
    """Rows of fewer prompts."""
    figures, story = (method_figures(benchmark) for benchmark in BENCHMARKS)
    rows = [
        {
            "method": code(name),
            "MovieGen prompts": row.prompts,
            "published ratio": "none" if row.compression_ratio is None else row.compression_ratio,
            "StoryEval": "yes" if name in story else "no row",
        }
        for name, row in figures.items()
        if row.prompts < 10
    ]
    return table(rows)


def d20(registry: Registry) -> str:
    """Peaks that no container explains."""
    figures = method_figures("moviegen")
    rows = [
        {
            "method": code(peak.method),
            "8-bit codes and all else GiB": f"{peak.model_bytes / GIB:.3f}",
            "published peak": f"{peak.published_bytes / GIB:.3f}",
            "unexplained": f"{peak.difference_bytes / GIB:.2f}",
        }
        for peak in peaks(registry, UNEXPLAINED)
    ]
    runtimes = ", ".join(
        f"`{name}` {figures[name].runtime_s:.1f} s"
        for name in ("RTN_INT4", "RTN_INT4_REFRESH", "QUAROT_KV_INT4", "QUAROT_KV_INT4_REFRESH")
    )
    return f"{table(rows)}\n\nPublished runtimes: {runtimes}."


def d21(_: Registry) -> str:
    """Drift against imaging quality, and one benchmark against the other."""
    rows = []
    for benchmark in BENCHMARKS:
        figures = list(method_figures(benchmark).values())
        drift = [row.drift_last for row in figures]
        imaging = [row.imaging_quality for row in figures]
        single = sum(
            len({p.effective_frames for p in drift_curve(benchmark, r.method)}) == 1
            for r in figures
        )
        rows.append(
            {
                "benchmark": benchmark,
                "methods": len(figures),
                "drift and imaging, correlation": f"{pearson(drift, imaging):.5f}",
                "largest difference": f"{np.abs(np.subtract(drift, imaging)).max():.4f}",
                "curves of one length": single,
            }
        )
    movie, story = (method_figures(benchmark) for benchmark in BENCHMARKS)
    both = [name for name in story if movie[name].compression_ratio is not None]
    ratios = pearson(
        [movie[name].compression_ratio or 0 for name in both],
        [story[name].compression_ratio or 0 for name in both],
    )
    return f"{table(rows)}\n\nCorrelation of the two benchmarks' ratios: {ratios:.6f}."
