"""The contract, for every method of this package."""

from __future__ import annotations

from kvbench_core.conformance.policy import PolicyConformance


class TestResidual(PolicyConformance, package="kvbench-residual"):
    pass
