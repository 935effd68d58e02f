"""The example of docs/write-a-metric.md is a metric, and a right one."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import laplace

from kvbench_core.conformance.metric import MetricConformance
from kvbench_core.errors import KvbenchError

PAGE = Path(__file__).parents[1] / "docs" / "write-a-metric.md"
EXAMPLE, PLUGIN = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.S)


def sharpness():
    names: dict[str, object] = {}
    exec(EXAMPLE, names)
    return names["Sharpness"]()


class TestExample(MetricConformance):
    @pytest.fixture
    def metric(self):
        return sharpness()


def test_it_is_the_variance_of_the_laplacian():
    frame = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    luma = frame @ np.array([0.299, 0.587, 0.114])
    expected = laplace(luma)[1:-1, 1:-1].var()
    assert sharpness().score_frame(frame, None)["sharpness"] == pytest.approx(expected)


def test_the_plugin_registers_it():
    names: dict[str, object] = {}
    exec(PLUGIN, names)
    (spec,) = names["kvbench_metrics"]()
    assert spec.name == sharpness().name


def test_columns_that_are_not_the_declared_ones_are_named():
    message = r"sharpness gave columns \['sharp'\] for frame 1; it declares \['sharpness'\]"
    with pytest.raises(KvbenchError, match=message):
        sharpness().summarise([{"sharpness": 1.0}, {"sharp": 1.0}])
