"""The contract that kvbench ships, on everything that this package registers."""

from kvbench_core.conformance.backend import BackendConformance
from kvbench_core.conformance.suite import SuiteConformance


class TestGenerators(BackendConformance, package="kvbench-ripple"):
    """Nothing to add."""


class TestSuites(SuiteConformance, package="kvbench-ripple"):
    """Nothing to add."""
