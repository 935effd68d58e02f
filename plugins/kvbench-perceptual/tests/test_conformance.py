"""The contract, for all three metrics."""

from __future__ import annotations

from kvbench_core.conformance.metric import MetricConformance


class TestPerceptual(MetricConformance, package="kvbench-perceptual"):
    pass
