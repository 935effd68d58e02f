"""The published study's tables as :class:`Results`."""

from __future__ import annotations

import numpy as np
from attrs import frozen

from kvbench_core.published import Benchmark, MethodFigures, method_figures
from kvbench_report.results import Better, Column, Floats, MethodInfo, Results


@frozen
class _Source:
    field: str
    unit: str
    better: Better
    summary: str


COLUMNS = {
    "compression_ratio": _Source(
        "compression_ratio", "x", "higher", "bf16 bytes over accounted bytes, codes as packed"
    ),
    "stored_bytes": _Source("compressed_kv_bytes", "bytes", "lower", "accounted, codes as packed"),
    "peak_bytes": _Source("peak_vram_bytes", "bytes", "lower", "allocator's highest mark"),
    "runtime_s": _Source("runtime_s", "s", "lower", "wall time of one generation"),
    "imaging_quality": _Source("imaging_quality", "", "higher", "VBench imaging quality"),
    "ssim": _Source("ssim", "", "higher", "SSIM to BF16, after H.264"),
    "lpips": _Source("lpips", "", "lower", "LPIPS (AlexNet) to BF16, after H.264"),
    "psnr": _Source("psnr_db", "dB", "higher", "PSNR to BF16, after H.264"),
    "drift_last": _Source(
        "drift_last", "", "higher", "imaging quality of the longest prefix, coded once more"
    ),
    "background_consistency": _Source(
        "background_consistency", "", "higher", "VBench background consistency"
    ),
    "subject_consistency": _Source(
        "subject_consistency", "", "higher", "VBench subject consistency"
    ),
    "aesthetic_quality": _Source("aesthetic_quality", "", "higher", "VBench aesthetic quality"),
}


def published_results(benchmark: Benchmark) -> Results:
    """A published table; its rows are means over the prompts that each method has."""
    rows = tuple(method_figures(benchmark).values())
    return Results(
        title=f"published {benchmark}",
        methods=tuple(_info(row) for row in rows),
        prompts=(),
        columns={
            name: Column(name=name, unit=each.unit, better=each.better, summary=each.summary)
            for name, each in COLUMNS.items()
        },
        values={name: _values(rows, each.field) for name, each in COLUMNS.items()},
        settings={
            "generator": "Self-Forcing, Wan2.1 1.3B",
            "suite": benchmark,
            "latent frames": "42",
            "peak counter": "torch.cuda.max_memory_allocated",
        },
    )


def _info(row: MethodFigures) -> MethodInfo:
    return MethodInfo(
        name=row.method,
        label=row.method,
        expression="",
        integration="reconstruct",
        is_reference=row.method == "BF16",
        prompts=row.prompts,
    )


def _values(rows: tuple[MethodFigures, ...], field: str) -> Floats:
    found = (getattr(row, field) for row in rows)
    return np.array([[np.nan if value is None else value] for value in found], dtype=np.float64)
