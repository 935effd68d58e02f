"""Scoring: incremental, resumable, and honest about what is missing."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from toy_runs import Notes, plan, run

from kvbench_core.errors import KvbenchError, MetricUnavailableError
from kvbench_core.metric import Column, Scores
from kvbench_core.registry import Registry, build_registry
from kvbench_core.report.table import build_table
from kvbench_core.run.evaluate import Evaluation, evaluate
from kvbench_core.run.records import ScoreRecord
from kvbench_core.run.store import RunStore


@pytest.fixture
def registry(toy: None) -> Registry:
    return build_registry()


@pytest.fixture(scope="module")
def made(toy_site: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("made") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(toy_site))
        registry = build_registry()
        run(plan(registry, "COARSE"), registry, root)
    return root


@pytest.fixture
def store(made: Path, tmp_path: Path) -> RunStore:
    return RunStore(Path(shutil.copytree(made, tmp_path / "run")))


def score(store: RunStore, registry: Registry, *names: str) -> tuple[Evaluation, Notes]:
    notes = Notes()
    return evaluate(store, registry, names or ("error", "light"), notes), notes


def scores(store: RunStore) -> dict[str, ScoreRecord]:
    cells, _ = store.cells(store.manifest())
    return {
        f"{found.metric} of {cell.cell.method.label}": found
        for cell in cells
        for found in store.scores(cell.cell.id)[0]
    }


def test_every_metric_on_every_video(store: RunStore, registry: Registry):
    result, notes = score(store, registry)
    assert result == Evaluation(ok=3, failed=0, problems=[])
    assert notes.planned == (3, 0, 1)
    found = scores(store)
    assert set(found) == {"light of BF16", "light of COARSE", "error of COARSE"}
    error = found["error of COARSE"]
    assert error.values["mse"] > 0
    assert len(error.per_frame["mse"]) == 8
    assert error.reference_sha256 == found["light of BF16"].video_sha256
    assert error.settings == {"squared": True}
    assert error.columns[0].better == "lower"


def test_only_what_is_missing_is_computed(store: RunStore, registry: Registry):
    score(store, registry, "light")
    _, notes = score(store, registry)
    assert notes.started == ["error of COARSE on ball"]
    _, notes = score(store, registry)
    assert notes.started == []
    assert notes.planned == (3, 3, 1)


@pytest.mark.parametrize("change", ["version", "settings"])
def test_a_changed_metric_makes_its_scores_stale(store, registry, monkeypatch, change):
    import toy_methods

    score(store, registry)
    if change == "version":
        monkeypatch.setattr(toy_methods.Light, "version", "2")
    else:
        monkeypatch.setattr(toy_methods.Light, "settings", lambda self: {"gamma": 2.2})
    _, notes = score(store, registry)
    assert notes.started == ["light of BF16 on ball", "light of COARSE on ball"]


def test_where_bf16_failed_the_windowed_one_stands_in(registry: Registry, tmp_path: Path):
    run(plan(registry, "COARSE", "BF16_WINDOW"), registry, tmp_path)
    store = RunStore(tmp_path)
    cells, _ = store.cells(store.manifest())
    bf16, windowed = (next(c for c in cells if c.cell.method.label == name)
                      for name in ("BF16", "BF16_WINDOW"))  # fmt: skip
    score(store, registry, "error")
    expected = scores(store)["error of COARSE"]
    assert bf16.video == windowed.video
    (tmp_path / "cells" / f"{bf16.cell.id}.json").unlink()
    store.video_path(bf16.cell.id).unlink()
    for path in (tmp_path / "scores").rglob("*.json"):
        path.unlink()
    score(store, registry, "error")
    found = scores(store)["error of COARSE"]
    assert found.values == expected.values
    assert found.reference_sha256 == expected.reference_sha256
    (row,) = [row for row in build_table(store).rows if row.method == "COARSE"]
    assert row.scores["mse"] == expected.values["mse"]


def test_a_new_reference_video_makes_comparisons_stale(store, registry):
    score(store, registry)
    cells, _ = store.cells(store.manifest())
    reference = next(cell for cell in cells if cell.cell.method.is_reference)
    video = store.video_path(reference.cell.id)
    other = next(cell for cell in cells if not cell.cell.method.is_reference)
    video.write_bytes(store.video_path(other.cell.id).read_bytes())
    path = store.root / "cells" / f"{reference.cell.id}.json"
    path.write_text(path.read_text().replace(reference.video.sha256, other.video.sha256))
    _, notes = score(store, registry)
    assert notes.started == ["light of BF16 on ball", "error of COARSE on ball"]
    assert scores(store)["error of COARSE"].values["mse"] == 0


def test_a_damaged_score_is_computed_again(store: RunStore, registry: Registry):
    score(store, registry)
    (path, *_) = store.root.glob("scores/coarse*/light.json")
    path.write_text("{")
    _, notes = score(store, registry)
    assert notes.started == ["light of COARSE on ball"]


def test_a_metric_that_raises_costs_only_its_scores(store, registry, monkeypatch):
    import toy_methods

    def fail(*_: Any) -> None:
        raise MemoryError("too\nmuch")

    monkeypatch.setattr(toy_methods.Light, "score", fail)
    result, notes = score(store, registry)
    assert (result.ok, result.failed) == (1, 2)
    assert ("light of BF16 on ball", "FAILED: MemoryError: too much, 0.0 s") in notes.finished
    record = scores(store)["light of COARSE"]
    assert record.status == "failed"
    assert "test_evaluate.py" in record.error.traceback
    monkeypatch.undo()
    build_registry()
    result, notes = score(store, registry)
    assert (result.failed, len(notes.started)) == (0, 2)


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (Scores(values={}), r"returned columns \[\]; it declares \['light'\]"),
        (Scores(values={"light": float("inf")}), "returned inf for light"),
        (Scores(values={"light": 1e30}), r"returned 1e\+30 for light"),
        (Scores(values={"light": float("nan")}), "returned nan for light"),
        (Scores(values={"light": 1.0}, per_frame={"light": [float("nan")]}), "returned nan"),
        (None, "NoneType"),
    ],
)
def test_nonsense_from_a_metric_is_its_failure(store, registry, monkeypatch, returned, message):
    import re

    import toy_methods

    monkeypatch.setattr(toy_methods.Light, "score", lambda *_: returned)
    result, _ = score(store, registry, "light")
    assert result.failed == 2
    assert re.search(message, scores(store)["light of BF16"].error.message)


def test_numbers_of_any_kind_are_stored(store, registry, monkeypatch):
    import toy_methods

    values = Scores(
        values={"light": torch.tensor(2.5)}, per_frame={"light": [None, torch.tensor(1.0)]},
        notes={"frames": torch.tensor(3)},
    )  # fmt: skip
    monkeypatch.setattr(toy_methods.Light, "score", lambda *_: values)
    assert score(store, registry, "light")[0].failed == 0
    record = scores(store)["light of BF16"]
    assert (record.values, record.per_frame) == ({"light": 2.5}, {"light": [None, 1.0]})
    assert record.notes == {"frames": 3}


def test_without_a_reference_the_reason_is_stored(store: RunStore, registry: Registry):
    cells, _ = store.cells(store.manifest())
    reference = next(cell for cell in cells if cell.cell.method.is_reference)
    (store.root / "cells" / f"{reference.cell.id}.json").unlink()
    result, _ = score(store, registry, "error")
    assert (result.ok, result.failed) == (1, 0)
    record = scores(store)["error of COARSE"]
    assert record.status == "unavailable"
    assert record.notes["reason"] == "neither BF16 nor BF16_WINDOW made this video"
    run(plan(registry, "COARSE"), registry, store.root)
    score(store, registry, "error")
    assert scores(store)["error of COARSE"].status == "ok"


def test_a_video_that_was_touched_is_not_scored(store: RunStore, registry: Registry):
    (path,) = store.root.glob("videos/coarse*.mp4")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    result, _ = score(store, registry, "light")
    assert (result.ok, result.failed) == (1, 1)
    assert "is not the video that was recorded" in scores(store)["light of COARSE"].error.message


def test_a_named_metric_must_exist_and_load(store, registry, monkeypatch):
    import toy_methods

    with pytest.raises(KvbenchError, match="no metric is called 'lite'; did you mean light"):
        score(store, registry, "lite")

    def broken(self: object) -> None:
        raise RuntimeError("no weights")

    monkeypatch.setattr(toy_methods.Light, "__init__", broken)
    with pytest.raises(KvbenchError, match="light cannot be used: RuntimeError: no weights"):
        score(store, registry, "light")
    result = evaluate(store, registry, None, Notes())
    assert any("metric light is left out" in problem for problem in result.problems)
    assert "error of COARSE" in scores(store)


def test_metrics_that_cannot_run_here_are_named_in_one_line(store, registry, monkeypatch):
    import toy_methods

    def unavailable(self: object) -> None:
        raise MetricUnavailableError("light needs light.pth (4 kB)")

    monkeypatch.setattr(toy_methods.Light, "check_available", unavailable)
    with pytest.raises(KvbenchError, match=r"^light needs light.pth \(4 kB\)$"):
        score(store, registry, "light")
    result = evaluate(store, registry, ["toy"], Notes())
    (problem,) = result.problems
    assert problem.startswith("metrics left out, since weights or packages are missing: light; ")
    assert "`kvbench doctor`" in problem
    assert evaluate(store, registry, None, Notes()).problems[0] == problem
    assert "error of COARSE" in scores(store)
    with pytest.raises(KvbenchError, match=r"^light needs light.pth \(4 kB\)$"):
        evaluate(store, registry, ["toy", "light"], Notes())


def test_a_family_of_which_nothing_can_run_is_an_error(store, registry, monkeypatch):
    import toy_methods

    def unavailable(self: object) -> None:
        raise MetricUnavailableError("needs weights")

    for metric in (toy_methods.Light, toy_methods.Error):
        monkeypatch.setattr(metric, "check_available", unavailable)
    with pytest.raises(KvbenchError, match=r"weights or packages are missing: error, light"):
        evaluate(store, registry, ["toy"], Notes())


def test_a_metric_with_useless_columns_is_left_out(store, registry, monkeypatch):
    import toy_methods

    column = Column(name="a\nb", unit="1", better="higher", summary="x")
    monkeypatch.setattr(toy_methods.Light, "columns", (column,))
    with pytest.raises(KvbenchError, match="name must be one printable line"):
        score(store, registry, "light")
