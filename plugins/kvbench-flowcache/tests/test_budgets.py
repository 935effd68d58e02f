"""Layer budgets: the tables, other numbers of layers, and files that hold none."""

from __future__ import annotations

import pytest
import torch

from kvbench_core.errors import ParameterError
from kvbench_core.geometry import CacheGeometry
from kvbench_core.registry import build_registry
from kvbench_core.session import CacheSession
from kvbench_flowcache.budgets import LayerScales, load_scales


def test_published_tables():
    for name, first, mean in (("moviegen", 1.3, 0.9003), ("storyeval", 1.29298, 0.9187)):
        scales = load_scales("prune", name)
        assert [scales.at(layer, 30) for layer in range(30)] == list(scales.scales)
        assert scales.scales[0] == pytest.approx(first, abs=1e-4)
        assert sum(scales.scales) / 30 == pytest.approx(mean, abs=1e-4)


def test_ramp_and_even():
    assert [load_scales("prune", "ramp").at(layer, 5) for layer in range(5)] == [
        0.75, 0.875, 1.0, 1.125, 1.25,
    ]  # fmt: skip
    assert {load_scales("prune", "even").at(layer, 5) for layer in range(5)} == {1.0}


def test_other_numbers_of_layers_go_by_relative_depth():
    scales = LayerScales((1.0, 2.0, 4.0))
    assert [scales.at(layer, 5) for layer in range(5)] == [1.0, 1.5, 2.0, 3.0, 4.0]
    assert [scales.at(layer, 2) for layer in range(2)] == [1.0, 4.0]
    assert scales.at(0, 1) == 2.0


GOOD = "layer,scale\n0,1\n1,0.8\n"


def open_session(table, layers=2):
    geometry = CacheGeometry(layers=layers, heads=1, head_dim=8, grid=(4, 4))
    policy = build_registry().policy(f"rtn(bits=4)+prune(layer_budgets={str(table)!r})")
    return CacheSession(policy, geometry, dtype=torch.float32)


@pytest.mark.parametrize(
    "text", [GOOD, GOOD.replace("\n", "\r\n"), "\ufeffscale,layer\n1,0\n.8,1\n"]
)
def test_a_table_of_one_s_own(tmp_path, text):
    table = tmp_path / "budgets.csv"
    table.write_text(text, encoding="utf-8", newline="")
    assert [layer._planner._scale for layer in open_session(table).layers] == [1.0, 0.8]


BAD = {
    "": "no columns layer and scale",
    "layer\n0\n1\n": "no columns layer and scale",
    "layer,scale\n": "no columns layer and scale",
    "layer,scale\n0,nan\n1,1\n": "the scale of layer 0 is 'nan', not a number above 0",
    "layer,scale\n0,1\n1,inf\n": "the scale of layer 1 is 'inf'",
    "layer,scale\n0,1\n1,-1\n": "the scale of layer 1 is '-1'",
    "layer,scale\n0,1\n1,0\n": "the scale of layer 1 is '0'",
    "layer,scale\n0,1\n1,11\n": "at most 10",
    "layer,scale\n0,1\n1\n": "the scale of layer 1 is None",
    "layer,scale\n0,1\n1,one\n": "the scale of layer 1 is 'one'",
    "layer,scale\n1,1\n0,1\n": "its layers are not 0 to 1",
    "layer,scale\n0,1\n0,1\n": "its layers are not 0 to 1",
    'layer,scale\n"0,1\n': "the file is no CSV",
    "layer,scale\n0,1,5\n1,1,5\n#" + "x" * 100_000: "more than 100000 characters",
}


@pytest.mark.parametrize("text", BAD)
def test_a_file_that_is_no_table(tmp_path, text):
    table = tmp_path / "budgets.csv"
    table.write_text(text)
    with pytest.raises(ParameterError, match=BAD[text]) as caught:
        open_session(table)
    assert str(caught.value).startswith("prune: layer_budgets must be 'even', 'ramp'")
    assert "\n" not in str(caught.value)


def test_no_file(tmp_path):
    for table in (tmp_path / "missing.csv", tmp_path):
        with pytest.raises(ParameterError, match="there is no such file"):
            open_session(table)
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ParameterError, match="layer_budgets must be"):
        open_session(tmp_path / "binary.csv")


def test_a_table_for_another_model(tmp_path):
    table = tmp_path / "budgets.csv"
    table.write_text(GOOD)
    with pytest.raises(ParameterError, match=r"a table of 3 layers, .*this one has 2"):
        open_session(table, layers=3)
