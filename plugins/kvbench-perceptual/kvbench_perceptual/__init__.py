"""Perceptual fidelity to the BF16 video, without downloads: hooks only."""

from __future__ import annotations

from kvbench_core.hookspecs import hookimpl
from kvbench_core.specs import MetricSpec


@hookimpl
def kvbench_metrics() -> list[MetricSpec]:
    """ST-LPIPS, ColorVideoVDP and VMAF."""
    return [
        MetricSpec(
            name="stlpips",
            family="fidelity",
            summary="ST-LPIPS, shift-tolerant learned distance to the BF16 video, frame by frame",
            target="kvbench_perceptual.stlpips:StLpips",
        ),
        MetricSpec(
            name="cvvdp",
            family="fidelity",
            summary="ColorVideoVDP, visible differences to the BF16 video as a whole, in JOD",
            target="kvbench_perceptual.cvvdp:Cvvdp",
        ),
        MetricSpec(
            name="vmaf",
            family="fidelity",
            summary="VMAF against the BF16 video, by libvmaf in the bundled ffmpeg",
            target="kvbench_perceptual.vmaf:Vmaf",
        ),
    ]
