"""The contract, for both metrics."""

from __future__ import annotations

from kvbench_core.conformance.metric import MetricConformance


class TestFidelity(MetricConformance, package="kvbench-fidelity"):
    pass
