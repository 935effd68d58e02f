"""The contract that kvbench ships, on everything that this package registers."""

from kvbench_core.conformance.policy import PolicyConformance


class TestNibble(PolicyConformance, package="kvbench-nibble"):
    """Nothing to add."""
