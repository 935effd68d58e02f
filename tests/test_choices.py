"""What a user may choose about a generator: weights, resolution, when to decode."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
import torch
from toy_runs import Notes, plan, run

from kvbench_core.errors import BackendError
from kvbench_core.registry import Registry, build_registry
from kvbench_core.report.formats import FORMATS
from kvbench_core.report.table import build_table
from kvbench_core.run.evaluate import evaluate
from kvbench_core.run.runner import Outcome
from kvbench_core.run.store import RunStore

NAP_S = 0.5


@pytest.fixture
def registry(toy: None) -> Registry:
    return build_registry()


def test_streaming_decode_makes_the_same_videos(registry: Registry, tmp_path: Path):
    videos = {}
    for mode in ("end", "streaming"):
        made = plan(registry, "COARSE", decode=mode)
        outcome, _ = run(made, registry, tmp_path / mode)
        store = RunStore(tmp_path / mode)
        assert outcome == Outcome(2, 0)
        assert store.manifest().request.decode == mode
        cells, _ = store.cells(store.manifest())
        videos[mode] = [cell.video for cell in cells]
        assert [len(cell.figures.chunk_s) for cell in cells if cell.figures] == [4, 4]
        assert all(cell.figures.decoding.peak_bytes > 0 for cell in cells if cell.figures)
    assert videos["end"] == videos["streaming"]


def test_time_spent_decoding_between_chunks_is_not_the_rollouts(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    made = plan(registry, decode="streaming")
    generator = type(made.backend.load(torch.device("cpu")))
    real = generator._pictures

    def slowly(self: Any, latents: Any) -> Any:
        time.sleep(NAP_S)
        return real(self, latents)

    monkeypatch.setattr(generator, "_pictures", slowly)
    run(made, registry, tmp_path)
    (cell,), _ = RunStore(tmp_path).cells(RunStore(tmp_path).manifest())
    assert cell.figures is not None
    assert cell.figures.video_s >= 4 * NAP_S
    assert cell.figures.wall_s < 4 * NAP_S


def test_synthetic_weights_leave_quality_blank(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("toy_backend.Toy.weights", "synthetic")
    run(plan(registry, "COARSE"), registry, tmp_path)
    store, notes = RunStore(tmp_path), Notes()
    assert evaluate(store, registry, None, notes).ok == 0
    table = build_table(store)
    assert table.columns == []
    assert "quality columns are blank" in table.notes[0]
    for write in FORMATS.values():
        assert "synthetic weights" in write(table)


@pytest.mark.parametrize(
    ("choice", "message"),
    [({"weights": "/x"}, "leave out --weights"), ({"resolution": (64, 64)}, "one resolution")],
)
def test_choices_that_a_backend_does_not_offer_are_refused(
    registry: Registry, choice: dict[str, Any], message: str
):
    with pytest.raises(BackendError, match=message):
        plan(registry, **choice)
