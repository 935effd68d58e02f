"""Making cells: figures, failures, resuming, sharing a directory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from toy_runs import Notes, plan, run

from kvbench_core.errors import BackendError, KvbenchError, StoreError
from kvbench_core.registry import Registry, build_registry
from kvbench_core.run.records import CellRecord
from kvbench_core.run.runner import Outcome, run_plan, write_previews
from kvbench_core.run.store import RunStore
from kvbench_core.run.video import StoredVideo


@pytest.fixture
def registry(toy: None) -> Registry:
    return build_registry()


def records(root: Path) -> dict[str, CellRecord]:
    store = RunStore.open(root)
    found, problems = store.cells(store.manifest())
    assert not problems
    return {f"{r.cell.method.label} {r.cell.prompt}": r for r in found}


def test_a_cell_says_what_it_took(registry: Registry, tmp_path: Path):
    outcome, notes = run(plan(registry, "COARSE"), registry, tmp_path)
    assert outcome == Outcome(ok=2, failed=0)
    assert notes.planned == (2, 0, 4)
    assert notes.started == ["BF16 on ball", "COARSE on ball"]
    assert notes.steps == 8
    reference, coarse = records(tmp_path).values()
    for record in (reference, coarse):
        figures = record.figures
        assert figures is not None
        assert len(figures.chunk_s) == 4
        assert figures.wall_s >= sum(figures.chunk_s) > 0
        assert figures.generation.peak_bytes >= figures.generation.before_bytes > 0
        assert "resident set" in figures.peak_counter
        assert figures.kv_dense_bytes == [2 * 2 * 16 * 2 * 2 * 16 * 2 * n for n in (1, 2, 3, 4)]
        assert len(figures.memory_bytes) == 4
        assert 0 < max(figures.memory_bytes) <= figures.generation.peak_bytes
        assert record.kernel == "reference"
        assert record.environment.packages["kvbench-toy"] == "1.0"
    assert reference.figures.compression_ratio == 1.0
    assert reference.figures.kv_stored_bytes == reference.figures.kv_dense_bytes
    assert coarse.figures.compression_ratio == 2.0
    assert coarse.figures.encode_s > 0
    assert coarse.figures.decode_s > 0
    assert coarse.figures.latents_sha256 != reference.figures.latents_sha256


def test_the_manifest_tells_the_story(registry: Registry, tmp_path: Path):
    run(plan(registry, "COARSE"), registry, tmp_path)
    manifest = RunStore.open(tmp_path).manifest()
    assert manifest.status == "complete"
    assert manifest.request.kernel == "reference"
    assert manifest.request.cache_dtype == "bfloat16"
    (session,) = manifest.sessions
    assert session.status == "complete"
    assert session.given == {"methods": "x"}
    assert session.warmup_s > 0
    assert session.environment.packages["torch"] == torch.__version__
    assert session.environment.git is None or len(session.environment.git.commit) == 40


def test_the_stored_video_is_what_was_decoded(registry: Registry, tmp_path: Path):
    made = plan(registry)
    run(made, registry, tmp_path)
    (record,) = records(tmp_path).values()
    assert record.video is not None
    assert (record.video.frames, record.video.width, record.video.fps) == (8, 16, 8.0)
    frames = list(StoredVideo(RunStore(tmp_path).video_path(record.cell.id), 8, 8.0))
    assert np.std(frames) > 1


def test_the_same_seed_gives_the_same_video(registry: Registry, tmp_path: Path):
    for name in ("a", "b"):
        run(plan(registry, "TOY"), registry, tmp_path / name)
    first, second = records(tmp_path / "a"), records(tmp_path / "b")
    for name, record in first.items():
        assert record.figures.latents_sha256 == second[name].figures.latents_sha256
        assert record.video == second[name].video


def test_a_second_run_makes_nothing_and_loads_nothing(registry: Registry, tmp_path: Path):
    run(plan(registry, "COARSE"), registry, tmp_path)
    before = records(tmp_path)
    outcome, notes = run(plan(registry, "COARSE"), registry, tmp_path)
    assert outcome == Outcome(2, 0)
    assert (notes.planned, notes.started, notes.said) == ((2, 2, 4), [], [])
    assert records(tmp_path) == before
    assert len(RunStore(tmp_path).manifest().sessions) == 2


def test_a_run_grows_by_methods_and_prompts(registry: Registry, tmp_path: Path):
    run(plan(registry, "COARSE"), registry, tmp_path)
    _, notes = run(plan(registry, "COARSE_RECENT", prompts="2"), registry, tmp_path)
    assert notes.started == ["COARSE_RECENT on ball", "BF16 on cube", "COARSE_RECENT on cube"]
    assert len(records(tmp_path)) == 5


def test_a_method_that_raises_costs_only_its_cells(registry: Registry, tmp_path: Path):
    outcome, notes = run(plan(registry, "failing", "COARSE", prompts="2"), registry, tmp_path)
    assert outcome == Outcome(ok=4, failed=2)
    assert ("failing on ball", "FAILED: ZeroDivisionError: codes ran out") in notes.finished
    record = records(tmp_path)["failing cube"]
    assert record.status == "failed"
    assert record.error.message == "codes\nran out"
    assert "in encode" in record.error.traceback
    assert RunStore(tmp_path).manifest().status == "failed"
    assert not list((tmp_path / "videos").glob("failing*"))


def test_failures_are_tried_once_more(registry: Registry, tmp_path: Path):
    run(plan(registry, "failing"), registry, tmp_path)
    before = records(tmp_path)
    outcome, notes = run(plan(registry, "failing"), registry, tmp_path)
    assert outcome == Outcome(1, 1)
    assert notes.started == ["failing on ball"]
    after = records(tmp_path)
    assert after["BF16 ball"] == before["BF16 ball"]
    assert after["failing ball"].finished > before["failing ball"].finished


def test_damaged_cells_and_lost_videos_are_made_again(registry: Registry, tmp_path: Path):
    run(plan(registry, "TOY"), registry, tmp_path)
    before = records(tmp_path)
    ids = {name.split()[0]: record.cell.id for name, record in before.items()}
    (tmp_path / "cells" / f"{ids['COARSE']}.json").write_text('{"format_version": 2, "cell"')
    (tmp_path / "videos" / f"{ids['COARSE_RECENT']}.mp4").write_bytes(b"")
    _, notes = run(plan(registry, "TOY"), registry, tmp_path)
    assert notes.started == ["COARSE on ball", "COARSE_RECENT on ball"]
    assert "is damaged" in notes.said[0]
    after = records(tmp_path)
    assert {n: r.video for n, r in after.items()} == {n: r.video for n, r in before.items()}


def test_a_cell_of_a_later_version_stops_the_run(registry: Registry, tmp_path: Path):
    run(plan(registry), registry, tmp_path)
    (path,) = (tmp_path / "cells").iterdir()
    content = path.read_text().replace('"format_version": 2', '"format_version": 3')
    path.write_text(content)
    with pytest.raises(KvbenchError, match="upgrade kvbench-core"):
        run(plan(registry), registry, tmp_path)
    assert path.read_text() == content


def test_another_dtype_or_kernel_is_refused_once_known(registry: Registry, tmp_path: Path):
    run(plan(registry), registry, tmp_path)
    with pytest.raises(StoreError, match="its kernel is reference, not cpu-flash"):
        run(plan(registry, "COARSE", kernel="cpu-flash"), registry, tmp_path)
    manifest = tmp_path / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"bfloat16"', '"float32"'))
    with pytest.raises(StoreError, match="its cache dtype is float32, not bfloat16"):
        run(plan(registry, "COARSE"), registry, tmp_path)
    assert RunStore(tmp_path).manifest().sessions[-1].status == "failed"


def test_a_generator_that_cannot_be_loaded(registry: Registry, tmp_path: Path, monkeypatch):
    made = plan(registry)

    def missing(self: object, device: torch.device) -> None:
        raise BackendError("weights are missing; get them")

    monkeypatch.setattr(type(made.backend), "load", missing)
    with pytest.raises(BackendError, match="weights are missing"):
        run(made, registry, tmp_path)
    session = RunStore(tmp_path).manifest().sessions[0]
    assert "weights are missing" in session.error


def test_ctrl_c_leaves_a_consistent_directory(registry: Registry, tmp_path: Path, monkeypatch):
    made = plan(registry, "COARSE")
    notes = Notes()

    def press(done: int) -> None:
        if len(notes.started) == 2 and done == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(Notes, "step", lambda self, done: press(done))
    with pytest.raises(KeyboardInterrupt):
        run_plan(made, RunStore(tmp_path), registry, notes, given={})
    assert list(records(tmp_path)) == ["BF16 ball"]
    assert RunStore(tmp_path).manifest().status == "interrupted"
    monkeypatch.undo()
    _, again = run(made, registry, tmp_path)
    assert again.started == ["COARSE on ball"]
    assert RunStore(tmp_path).manifest().status == "complete"


def test_a_full_disk_ends_the_run_with_its_reason(registry: Registry, tmp_path: Path, monkeypatch):
    store = RunStore(tmp_path)
    write = Path.write_text

    def full(self: Path, *args: Any, **kwargs: Any) -> int:
        if self.parent.name == "cells":
            raise OSError(28, "No space left on device")
        return write(self, *args, **kwargs)

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(StoreError, match="No space left on device"):
        run_plan(plan(registry), store, registry, Notes(), given={})
    assert not list((tmp_path / "cells").iterdir())


def test_a_cell_that_another_process_makes_is_awaited(registry: Registry, tmp_path: Path):
    made = plan(registry, "COARSE")
    run(made, registry, tmp_path / "other")
    store = RunStore(tmp_path / "run")
    first = made.cells[0].id
    notes = Notes()

    def hand_over(item: str, result: str) -> None:
        notes.finished.append((item, result))
        if item == "COARSE on ball":  # the other process ends while we wait for its cell
            for name in (f"videos/{first}.mp4", f"cells/{first}.json"):
                (tmp_path / "run" / name).write_bytes((tmp_path / "other" / name).read_bytes())

    notes_type = type("Handing", (Notes,), {"finish": lambda _, i, r: hand_over(i, r)})
    (tmp_path / "run" / "locks").mkdir(parents=True)
    with store.claim(first) as ours:
        assert ours
        outcome = run_plan(made, store, registry, notes_type(), given={})
    assert outcome == Outcome(2, 0)
    assert [item for item, _ in notes.finished] == ["COARSE on ball", "BF16 on ball"]
    assert notes.finished[1][1].endswith("(by another process)")


@pytest.mark.parametrize(
    ("frames", "message"),
    [(4, "returned 4 latent frames and cached 4; 8 were asked for"), (0, "without its clean")],
)
def test_a_short_rollout_is_a_failed_cell(registry, tmp_path, monkeypatch, frames, message):
    made = plan(registry)
    generator = type(made.backend.load(torch.device("cpu")))
    real = generator.generate

    def short(self: Any, prompt: str, seed: int, _: int, session: Any, on_chunk: Any) -> Any:
        return real(self, prompt, seed, frames, session, on_chunk) if frames else torch.empty(8)

    monkeypatch.setattr(generator, "generate", short)
    monkeypatch.setattr("kvbench_core.run.rollout.Rollout.warm_up", lambda *_: 0.0)
    outcome, notes = run(made, registry, tmp_path)
    assert outcome == Outcome(0, 1)
    assert message in notes.finished[0][1]


def test_previews_are_made_when_asked_for_even_later(registry: Registry, tmp_path: Path):
    made = plan(registry)
    run(made, registry, tmp_path)
    store = RunStore(tmp_path)
    write_previews(made, store)
    path = store.preview_path(made.cells[0].id)
    assert len(list(StoredVideo(path, 8, 8.0))) == 8
