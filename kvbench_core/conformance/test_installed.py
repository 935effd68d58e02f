"""The contract, on what is installed or on the names given by ``--kvbench-policy`` and others."""

from __future__ import annotations

import pytest

from kvbench_core.conformance.backend import BackendConformance
from kvbench_core.conformance.command import CommandConformance
from kvbench_core.conformance.metric import MetricConformance
from kvbench_core.conformance.policy import PolicyConformance
from kvbench_core.conformance.pytest_plugin import KINDS
from kvbench_core.conformance.suite import SuiteConformance
from kvbench_core.plugins import BLOCK_VARIABLE
from kvbench_core.registry import build_registry


def test_every_installed_plugin_loads(pytestconfig: pytest.Config) -> None:
    """Runs when no name is given."""
    if any(pytestconfig.getoption(f"kvbench_{kind}") for kind in KINDS):
        pytest.skip("only the named ones were asked for")
    failed = [
        f"{failure.package} {failure.version} ({failure.name}): {failure.reason}"
        for failure in build_registry().failed
        if BLOCK_VARIABLE not in failure.reason
    ]
    assert not failed, "a plugin was skipped: " + "; ".join(failed)


class TestPolicies(PolicyConformance):
    """Clauses P1 to P24."""


class TestBackends(BackendConformance):
    """Clauses B1 to B10."""


class TestMetrics(MetricConformance):
    """Clauses M1 to M7."""


class TestSuites(SuiteConformance):
    """Clauses S1 to S3."""


class TestCommands(CommandConformance):
    """Clauses C1 to C3."""
