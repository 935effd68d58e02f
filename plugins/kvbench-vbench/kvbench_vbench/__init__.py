"""VBench dimensions: hooks only."""

from __future__ import annotations

from kvbench_core.hookspecs import hookimpl
from kvbench_core.specs import MetricSpec

DIMENSIONS = {
    "imaging_quality": "VBench imaging quality (MUSIQ), frame by frame",
    "aesthetic_quality": "VBench aesthetic quality (LAION predictor on CLIP ViT-L/14)",
    "subject_consistency": "VBench subject consistency over time (DINO ViT-B/16)",
    "background_consistency": "VBench background consistency over time (CLIP ViT-B/32)",
    "temporal_flickering": "VBench temporal flickering; needs no weights",
    "motion_smoothness": "VBench motion smoothness (AMT-S frame interpolation)",
    "dynamic_degree": "VBench dynamic degree: does anything move? (RAFT optical flow)",
    "overall_consistency": "VBench consistency of video and prompt (ViCLIP)",
}


@hookimpl
def kvbench_metrics() -> list[MetricSpec]:
    """The dimensions that VBench defines for videos of one's own, under its names."""
    return [
        MetricSpec(
            name=name,
            family="vbench",
            summary=summary,
            target=f"kvbench_vbench.dimensions:{name.title().replace('_', '')}",
        )
        for name, summary in DIMENSIONS.items()
    ]
