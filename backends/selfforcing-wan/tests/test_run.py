"""A whole run of a full-size generator's code, on small weights: plan, cells, table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kvbench_core.cli.progress import Quiet
from kvbench_core.errors import BackendError, StoreError
from kvbench_core.plugins import Plugin, Plugins, load_plugins
from kvbench_core.registry import Registry, build_registry
from kvbench_core.report.formats import FORMATS
from kvbench_core.report.table import build_table
from kvbench_core.run.evaluate import evaluate
from kvbench_core.run.plan import Plan, make_plan
from kvbench_core.run.records import CellRecord
from kvbench_core.run.runner import Outcome, run_plan
from kvbench_core.run.store import RunStore
from kvbench_core.specs import BackendSpec
from kvbench_core.suite import Prompt, Suite
from kvbench_selfforcing_wan.full import text, vae

pytest.importorskip("diffusers", reason="needs the extra wan")
pytest.importorskip("transformers", reason="needs the extra wan")
from wan_files import UMT5, write_all

PROMPTS = tuple(Prompt(id=t[2:], index=i, text=t) for i, t in enumerate(("a red", "a ball")))


@pytest.fixture(autouse=True)
def small_library_models(monkeypatch: pytest.MonkeyPatch) -> None:
    for key, value in UMT5.items():
        monkeypatch.setitem(text.UMT5_XXL, key, value)
    monkeypatch.setitem(vae.VAE_CONFIG, "base_dim", 8)


@pytest.fixture(scope="module")
def registry() -> Registry:
    spec = BackendSpec(name="small", family="x", summary="small", target="wan_files:small")
    mine = Plugin("small", "small", "1", (spec,))
    return build_registry(Plugins((*load_plugins().loaded, mine), ()))


def plan(registry: Registry, **choices: Any) -> Plan:
    return make_plan(
        registry,
        backend="small",
        methods=["RTN_INT4"],
        integration="streaming",
        suite=Suite(name="two", prompts=PROMPTS),
        prompts="2",
        seed=0,
        frames=9,
        device="cpu",
        kernel="auto",
        **choices,
    )


def run(registry: Registry, root: Path, **choices: Any) -> list[CellRecord]:
    store = RunStore(root)
    outcome = run_plan(plan(registry, **choices), store, registry, Quiet(), given={})
    assert outcome == Outcome(4, 0)
    evaluate(store, registry, ["psnr"], Quiet())
    return store.cells(store.manifest())[0]


def test_a_run_from_files_is_compared(registry: Registry, tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    write_all(tmp_path / "weights")
    choice = {"weights": str(tmp_path / "weights")}
    end = run(registry, tmp_path / "end", **choice)
    streaming = run(registry, tmp_path / "streaming", **choice, decode="streaming")
    assert [cell.video for cell in end] == [cell.video for cell in streaming]
    assert {cell.video.frames for cell in end if cell.video} == {33}
    table = build_table(RunStore(tmp_path / "end"))
    assert table.backend == "small"
    assert table.rows[1].scores["psnr"] is not None
    request = RunStore(tmp_path / "end").manifest().request
    assert request.weights == "small.pt:generator_ema"
    assert request.resolution == "48x32"


def test_a_synthetic_run_has_no_quality(registry: Registry, tmp_path: Path) -> None:
    run(registry, tmp_path, weights="synthetic")
    table = build_table(RunStore(tmp_path))
    assert table.columns == []
    assert "small (synthetic weights)" in FORMATS["markdown"](table)
    with pytest.raises(StoreError, match="its resolution is 48x32, not 64x32"):
        run(registry, tmp_path, weights="synthetic", resolution=(64, 32))


def test_missing_weights_leave_no_run_behind(registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="no folder of weights"):
        run(registry, tmp_path / "run", weights=str(tmp_path / "none"))
    (tmp_path / "none").mkdir()
    with pytest.raises(BackendError, match="small needs small"):
        run(registry, tmp_path / "run", weights=str(tmp_path / "none"))
    assert not (tmp_path / "run").exists()
