"""Quality of single frames, without a reference and without weights: hooks only."""

from __future__ import annotations

from kvbench_core.hookspecs import hookimpl
from kvbench_core.specs import MetricSpec


@hookimpl
def kvbench_metrics() -> list[MetricSpec]:
    """PIQE."""
    return [
        MetricSpec(
            name="piqe",
            family="quality",
            summary="PIQE, distortion seen in the blocks of single frames, without a reference",
            target="kvbench_quality.piqe:Piqe",
        ),
    ]
