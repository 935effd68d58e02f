"""The contract, with random weights: the real ones are not part of this repository."""

from __future__ import annotations

import pytest

from kvbench_core.conformance.metric import MetricConformance


class TestLpipsWithRandomWeights(MetricConformance):
    @pytest.fixture
    def metric(self, random_lpips):
        return random_lpips
