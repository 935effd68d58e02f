"""Curves over growing prefixes, against the formula and against prefixes scored one by one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet
from toy_runs import Notes, plan, run

from kvbench_core.drift import Curve, prefix_lengths
from kvbench_core.metric import Prefix
from kvbench_core.registry import build_registry
from kvbench_core.run.evaluate import evaluate
from kvbench_core.run.export import export_table
from kvbench_core.run.records import ScoreRecord
from kvbench_core.run.store import RunStore
from kvbench_core.run.video import StoredVideo

FIGURES = st.lists(st.none() | st.floats(-100, 100), min_size=1, max_size=400)


def test_the_published_schedule_and_that_of_the_tiny_generator():
    assert prefix_lengths(165) == [50, 100, 150, 165]
    assert prefix_lengths(42) == [14, 28, 42]
    assert prefix_lengths(2) == [1, 2]
    assert prefix_lengths(1) == [1]


@given(st.integers(1, 3000))
def test_prefixes_grow_up_to_the_whole_video(frames: int):
    lengths = prefix_lengths(frames)
    assert lengths[-1] == frames
    assert lengths == sorted(set(lengths))
    assert all(length % lengths[0] == 0 for length in lengths[:-1])
    assert len(lengths) >= min(frames, 3)
    assert lengths[0] == 50 or frames < 150


@given(FIGURES)
def test_a_curve_of_means_leaves_undefined_frames_out(figures: list[float | None]):
    curve = Curve.of_means(figures)
    for length, score in zip(curve.frames, curve.scores, strict=True):
        known = np.array([np.nan if x is None else x for x in figures[:length]])
        if np.isnan(known).all():
            assert score is None
        else:
            assert score == pytest.approx(np.nanmean(known), abs=1e-9)
    assert curve.last == curve.scores[-1]


@given(st.lists(st.floats(-10, 10), min_size=2, max_size=12))
def test_the_slope_is_the_least_squares_one_per_hundred_frames(scores: list[float]):
    frames = list(range(50, 50 * len(scores) + 1, 50))
    slope, _ = np.polyfit(frames, scores, 1)
    assert Curve(frames, list(scores)).slope == pytest.approx(100 * slope, abs=1e-9)


def test_a_slope_needs_two_scores():
    assert Curve([50, 100, 150], [None, 3.0, 1.0]).slope == pytest.approx(-4.0)
    assert Curve([50, 100], [None, 3.0]).slope is None
    assert Curve([50], [3.0]).slope is None


@pytest.mark.parametrize(
    ("frames", "scores"),
    [([], []), ([2, 1], [0.0, 0.0]), ([1, 1], [0.0, 0.0]), ([0, 1], [0.0, 0.0]), ([1, 2], [0.0])],
)
def test_nonsense_is_no_curve(frames: list[int], scores: list[float | None]):
    with pytest.raises(ValueError, match=r"growing lengths|one score for each"):
        Curve(frames, scores)


@pytest.fixture
def store(toy: None, tmp_path) -> RunStore:
    registry = build_registry()
    run(plan(registry, "COARSE"), registry, tmp_path)
    evaluate(RunStore(tmp_path), registry, ["error", "light"], Notes())
    return RunStore(tmp_path)


def score(store: RunStore, name: str) -> ScoreRecord:
    cells, _ = store.cells(store.manifest())
    (coarse,) = (cell for cell in cells if not cell.cell.method.is_reference)
    found = store.score(coarse.cell.id, name)
    assert found is not None
    return found


def test_curves_of_a_run_equal_the_metric_on_prefixes(store: RunStore):
    """Whether by frames or by prefixes: what the metric says of the first N frames."""
    registry = build_registry()
    cells, _ = store.cells(store.manifest())
    videos = {
        cell.cell.method.is_reference: StoredVideo(store.video_path(cell.cell.id), 8, 8.0)
        for cell in cells
    }
    for name, column in (("error", "mse"), ("light", "light")):
        record = score(store, name)
        curve = record.drift[column]
        assert curve.frames == [2, 4, 6, 8]
        for length, value in zip(curve.frames, curve.scores, strict=True):
            mine, reference = (Prefix(videos[which], length) for which in (False, True))
            alone = registry.metric(name).score(mine, reference, "")
            assert value == pytest.approx(alone.values[column])
        assert curve.last == record.values[column]


def test_the_table_has_last_slope_and_curve(store: RunStore):
    table = parquet.read_table(export_table(store))
    (row,) = (row for row in table.to_pylist() if row["method"] == "COARSE")
    curve = score(store, "error").drift["mse"]
    assert row["mse_drift_last"] == curve.last
    assert row["mse_drift_slope"] == curve.slope
    assert (row["mse_drift_frames"], row["mse_drift_scores"]) == (curve.frames, curve.scores)
    meaning = table.schema.field("mse_drift_slope").metadata
    assert (meaning[b"unit"], meaning[b"better"]) == (b"1 per 100 frames", b"lower")


def test_scores_of_format_version_1_are_read_and_get_curves(store: RunStore):
    path = store.score_path(score(store, "error").cell, "error")
    text = path.read_text()
    start, stop = text.index(' "drift"'), text.index(' "notes"')
    path.write_text((text[:start] + text[stop:]).replace('version": 2', 'version": 1'))
    assert score(store, "error").drift == {}
    assert export_table(store).is_file()
    notes = Notes()
    evaluate(store, build_registry(), ["error", "light"], notes)
    assert notes.started == ["error of COARSE on ball"]
    assert score(store, "error").drift["mse"].frames == [2, 4, 6, 8]


def test_drift_by_frames_needs_figures_of_frames(store: RunStore, monkeypatch):
    import toy_methods

    monkeypatch.setattr(toy_methods.Light, "drift", "frames")
    monkeypatch.setattr(toy_methods.Light, "version", "2")
    assert evaluate(store, build_registry(), ["light"], Notes()).failed == 2
    assert "per_frame must have one figure of light for each of 8" in str(
        score(store, "light").error
    )
