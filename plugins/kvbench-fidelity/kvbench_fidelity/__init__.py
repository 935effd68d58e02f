"""Fidelity to the BF16 video: hooks only."""

from __future__ import annotations

from kvbench_core.hookspecs import hookimpl
from kvbench_core.specs import MetricSpec


@hookimpl
def kvbench_metrics() -> list[MetricSpec]:
    """PSNR and SSIM."""
    return [
        MetricSpec(
            name="psnr",
            family="fidelity",
            summary="Peak signal-to-noise ratio against the BF16 video, frame by frame",
            target="kvbench_fidelity.psnr:Psnr",
        ),
        MetricSpec(
            name="ssim",
            family="fidelity",
            summary="Structural similarity with the BF16 video, frame by frame",
            target="kvbench_fidelity.ssim:Ssim",
        ),
    ]
