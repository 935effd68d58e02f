"""The contract, with random weights: the real ones are not part of this repository."""

from __future__ import annotations

import pytest

from kvbench_core.conformance.metric import MetricConformance

SMALL = ["subject_consistency", "background_consistency", "temporal_flickering"]
LARGE = ["imaging_quality", "aesthetic_quality", "motion_smoothness", "dynamic_degree"]


@pytest.mark.parametrize(
    "random_weights",
    [*SMALL, *(pytest.param(name, marks=pytest.mark.slow) for name in LARGE)],
    indirect=True,
)
class TestDimensionsWithRandomWeights(MetricConformance):
    @pytest.fixture
    def metric(self, dimension):
        return dimension
