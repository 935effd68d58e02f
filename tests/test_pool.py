"""Scoring in worker processes: the same figures, one crash at the price of one score."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest
from toy_runs import Notes, plan, run
from wild_plugin import digest

from kvbench_core.conformance.metric import MetricConformance
from kvbench_core.errors import KvbenchError
from kvbench_core.registry import build_registry
from kvbench_core.run.evaluate import evaluate
from kvbench_core.run.pool import cores, default_processes, setup_like
from kvbench_core.run.records import ScoreRecord
from kvbench_core.run.store import RunStore
from kvbench_core.run.video import StoredVideo


@pytest.fixture
def store(toy: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunStore:
    """A run of three methods, and metrics that crash on demand installed beside the toy plugin."""
    registry = build_registry()
    run(plan(registry, "TOY"), registry, tmp_path / "run")
    info = tmp_path / "kvbench_wild-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: kvbench-wild\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[kvbench]\nwild = wild_plugin\n")
    monkeypatch.syspath_prepend(str(tmp_path))  # workers take over the path
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))  # for commands that `start` starts
    return RunStore(tmp_path / "run")


def scores(store: RunStore) -> dict[str, ScoreRecord]:
    cells, _ = store.cells(store.manifest())
    return {
        f"{found.metric} of {cell.cell.method.label}": found
        for cell in cells
        for found in store.scores(cell.cell.id)[0]
    }


def score(store: RunStore, *names: str, processes: int = 2) -> tuple[int, Notes]:
    notes = Notes()
    result = evaluate(store, build_registry(), names, notes, processes=processes)
    return result.failed, notes


def test_workers_find_what_this_process_finds(store: RunStore):
    assert score(store, "against", "left", "right")[0] == 0
    side_by_side = scores(store)
    assert len(side_by_side) == 2 + 3 + 3
    for path in store.root.glob("scores/*/*.json"):
        path.unlink()
    score(store, "against", "left", "right", processes=1)
    for name, alone in scores(store).items():
        other = side_by_side[name]
        assert (alone.values, alone.per_frame, alone.drift) == (
            other.values,
            other.per_frame,
            other.drift,
        )


def test_metrics_of_frames_share_a_pass(store: RunStore):
    _, notes = score(store, "left", "against", "right", processes=1)
    assert notes.started == [
        "left, right of BF16 on ball",
        "against of COARSE on ball",
        "left, right of COARSE on ball",
        "against of COARSE_RECENT on ball",
        "left, right of COARSE_RECENT on ball",
    ]


def last_frame(store: RunStore, method: str) -> str:
    """The digest of a video's last frame, which tells it from the others."""
    cells, _ = store.cells(store.manifest())
    (cell,) = (cell.cell.id for cell in cells if cell.cell.method.label == method)
    return digest(list(StoredVideo(store.video_path(cell), 8, 8.0))[-1])


@pytest.mark.parametrize(
    ("how", "message"),
    [("exit", "ended with exit code 7"), ("kill", "was ended by SIGKILL; if memory ran out")],
)
def test_a_crash_costs_one_score(store: RunStore, monkeypatch, how: str, message: str):
    """``left`` and ``right`` share a pass; only the one that crashes is lost, on that cell only."""
    monkeypatch.setenv("WILD", f"left {how} {last_frame(store, 'COARSE')}")
    failed, notes = score(store, "left", "right")
    found = scores(store)
    assert failed == 1
    assert {name for name, record in found.items() if record.status == "failed"} == {
        "left of COARSE"
    }
    assert len(found) == 6
    assert message in found["left of COARSE"].error.message
    assert any(message in result for _, result in notes.finished)
    monkeypatch.delenv("WILD")
    failed, notes = score(store, "left", "right")
    assert (failed, len(notes.finished)) == (0, 1)


def test_an_exception_in_a_shared_pass_costs_one_score(store: RunStore, monkeypatch):
    monkeypatch.setenv("WILD", f"left raise {last_frame(store, 'COARSE')}")
    failed, _ = score(store, "left", "right", processes=1)
    found = scores(store)
    assert failed == 1
    assert found["left of COARSE"].error.message == "as I was told"
    assert found["right of COARSE"].status == "ok"


def test_a_worker_that_cannot_start_is_one_clear_error(store: RunStore, monkeypatch):
    monkeypatch.setenv("WILD", "left exit start")
    with pytest.raises(KvbenchError, match=r"a worker process cannot score: .* exit code 7"):
        score(store, "left")


def test_a_directory_that_cannot_be_written_to_is_one_clear_error(store: RunStore):
    for lock in (store.root / "locks").iterdir():
        lock.unlink()
    (store.root / "locks").rmdir()
    (store.root / "locks").write_text("")
    with pytest.raises(KvbenchError, match="cannot lock"):
        score(store, "left")


def test_interrupted_evaluation_leaves_whole_files_and_resumes(store: RunStore, start):
    arguments = ("evaluate", store.root, "--metrics", "slow", "--jobs", "2", "--json")
    process = start(*arguments)
    deadline = time.monotonic() + 180
    while not list(store.root.glob("scores/*/[!.]*.json")):
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=180)
    assert process.returncode == 130
    assert "Interrupted." in said
    assert "Traceback" not in said
    kept = {path: json.loads(path.read_text()) for path in store.root.glob("scores/*/[!.]*.json")}
    assert 1 <= len(kept) < 3
    assert not list(store.root.glob("scores/*/.*"))
    process = start(*arguments)
    process.communicate(timeout=180)
    assert process.returncode == 0
    assert {path: json.loads(path.read_text()) for path in kept} == kept
    assert len(scores(store)) == 3


def test_the_contract_catches_a_metric_that_depends_on_the_process(store: RunStore):
    check = MetricConformance().test_m9_another_process_finds_the_same
    check(build_registry().metric("right"), "right")
    with pytest.raises(AssertionError, match=r"^M9: a worker process finds the same scores"):
        check(build_registry().metric("moody"), "moody")


@pytest.mark.parametrize("jobs", [1, 2])
def test_what_a_metric_prints_is_no_result(store: RunStore, cli, jobs: int):
    result = cli("evaluate", store.root, "--metrics", "right", "--jobs", jobs, "--json")
    methods = {row["method"] for row in json.loads(result.stdout)["rows"]}
    assert methods == {"BF16", "COARSE", "COARSE_RECENT"}


def test_few_videos_are_scored_in_this_process():
    assert default_processes(7) == 1
    assert 1 <= default_processes(10_000) <= cores()


def test_workers_share_the_cores(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    setups = [setup_like(_scorer(), processes).threads for processes in (1, 3, 16)]
    assert setups == [8, 2, 1]


def _scorer():
    from kvbench_core.run.scorer import Scorer

    return Scorer(RunStore(Path()), {}, None, {})
