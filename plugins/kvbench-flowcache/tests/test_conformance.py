"""The contract, for every method of this package and for the published score."""

from __future__ import annotations

import pytest

from kvbench_core.conformance.policy import PolicyConformance


class TestFlowCache(PolicyConformance, package="kvbench-flowcache"):
    pass


class TestPublishedScore(PolicyConformance):
    @pytest.fixture
    def method(self):
        return "FLOWCACHE_SOFT_PRUNE_INT2(score='published')"
