"""LPIPS against the BF16 video: hooks only."""

from __future__ import annotations

from kvbench_core.hookspecs import hookimpl
from kvbench_core.specs import MetricSpec


@hookimpl
def kvbench_metrics() -> list[MetricSpec]:
    """LPIPS with each of its three trunks."""
    return [
        MetricSpec(
            name="lpips",
            family="fidelity",
            summary="LPIPS (AlexNet) to the BF16 video; needs torchvision's weights",
            target="kvbench_lpips.metric:Lpips",
        ),
        MetricSpec(
            name="lpips_vgg",
            family="fidelity",
            summary="LPIPS (VGG-16) to the BF16 video; needs torchvision's weights",
            target="kvbench_lpips.metric:LpipsVgg",
        ),
        MetricSpec(
            name="lpips_squeeze",
            family="fidelity",
            summary="LPIPS (SqueezeNet 1.1) to the BF16 video; needs torchvision's weights",
            target="kvbench_lpips.metric:LpipsSqueeze",
        ),
    ]
