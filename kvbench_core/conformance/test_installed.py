"""The contract, on what is installed or on the names given by ``--kvbench-policy`` and others."""

from __future__ import annotations

from kvbench_core.conformance.policy import PolicyConformance


class TestPolicies(PolicyConformance):
    """Clauses P1 to P23."""
