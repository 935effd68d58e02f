"""The contract, for every method of this package."""

from __future__ import annotations

from kvbench_core.conformance.policy import PolicyConformance


class TestQuarot(PolicyConformance, package="kvbench-quarot"):
    pass
