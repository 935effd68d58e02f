"""Every dimension against the ``vbench`` package called as its command line calls it."""

from __future__ import annotations

import json
import logging
import sys

import numpy as np
import pytest

from kvbench_core.run.video import write_video
from kvbench_vbench.dimensions import DynamicDegree, MotionSmoothness, TemporalFlickering

DIMENSIONS = [
    "imaging_quality",
    "aesthetic_quality",
    "subject_consistency",
    "background_consistency",
    "temporal_flickering",
    "motion_smoothness",
    pytest.param("dynamic_degree", marks=pytest.mark.slow),
]


@pytest.mark.parametrize("random_weights", DIMENSIONS, indirect=True)
def test_equal_to_the_package(dimension, video, tmp_path):
    from vbench import VBench

    videos = tmp_path / "videos"
    videos.mkdir()
    write_video([np.stack(video.frames)], video.fps, videos / "red-0.mp4")
    VBench("cpu", None, str(tmp_path)).evaluate(
        videos_path=str(videos),
        name="own",
        prompt_list={"red-0.mp4": "a red square"},
        dimension_list=[dimension.name],
        local=True,
        mode="custom_input",
    )
    average, _ = json.loads((tmp_path / "own_eval_results.json").read_text())[dimension.name]
    score = dimension.score(video, None, "a red square").values[dimension.name]
    assert np.isfinite(score)
    assert score == pytest.approx(average, rel=1e-6)


@pytest.mark.parametrize("random_weights", ["imaging_quality"], indirect=True)
def test_imaging_quality_of_each_frame(dimension, video):
    scores = dimension.score(type(video)(video.frames[:2]), None, "")
    figures = scores.per_frame["imaging_quality"]
    assert np.mean(figures) == pytest.approx(scores.values["imaging_quality"], rel=1e-5)
    second = dimension.score(type(video)(video.frames[1:2]), None, "")
    assert second.values["imaging_quality"] == pytest.approx(figures[1], rel=1e-5)


def test_flickering_by_its_formula(video):
    frames = np.stack(video.frames).astype(float)
    expected = 1 - np.abs(np.diff(frames, axis=0)).mean() / 255
    score = TemporalFlickering().score(video, None, "").values["temporal_flickering"]
    assert score == pytest.approx(expected, rel=1e-6)


def test_nothing_is_printed_or_logged(video, capfd):
    for module in [name for name in sys.modules if name.startswith("vbench")]:
        del sys.modules[module]
    before = logging.getLogger().handlers[:], logging.getLogger().level
    TemporalFlickering().score(video, None, "")
    assert capfd.readouterr() == ("", "")
    assert (logging.getLogger().handlers, logging.getLogger().level) == before


def test_too_short_and_too_small_videos_have_no_score(video):
    short = type(video)(video.frames[:1])
    scores = TemporalFlickering().score(short, None, "")
    assert scores.values == {"temporal_flickering": None}
    assert scores.notes["reason"] == "it needs at least 2 frames; the video has 1"
    small = type(video)([frame[:48] for frame in video])
    for dimension in (MotionSmoothness(), DynamicDegree()):
        reason = dimension.score(small, None, "").notes["reason"]
        assert reason == "it needs frames of at least 64 x 64 pixels; these are 96 x 48"
