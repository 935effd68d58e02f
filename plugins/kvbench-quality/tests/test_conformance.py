"""The contract."""

from __future__ import annotations

from kvbench_core.conformance.metric import MetricConformance


class TestQuality(MetricConformance, package="kvbench-quality"):
    pass
