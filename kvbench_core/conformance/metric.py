"""The metric clauses (``docs/contract.md``, M1 to M9)."""

from __future__ import annotations

import json
import math
from typing import ClassVar

import numpy as np
import pytest

from kvbench_core.conformance.base import Conformance
from kvbench_core.conformance.clips import (
    FRAMES,
    PROMPT,
    Clip,
    SharedClip,
    moving_square,
    scored,
    scored_elsewhere,
)
from kvbench_core.conformance.rollout import global_seed
from kvbench_core.drift import mean, prefix_lengths
from kvbench_core.errors import MetricUnavailableError, PluginError
from kvbench_core.metric import Column, Metric
from kvbench_core.registry import build_registry


class MetricConformance(Conformance):
    """What a metric promises. Override ``metric`` with one that has no registered name."""

    overridable: ClassVar[frozenset[str]] = frozenset({"metric"})

    @pytest.fixture
    def metric(self, kvbench_metric: str) -> Metric:
        """The metric under test."""
        try:
            metric = build_registry().metric(kvbench_metric)
            metric.check_available()
        except (PluginError, MetricUnavailableError) as error:
            pytest.skip(f"cannot be used here: {error}")
        return metric

    def test_m1_columns_are_described(self, metric: Metric) -> None:
        assert metric.name, "M1: a metric has a name"
        assert metric.version, "M1: a metric has a version"
        names = [column.name for column in metric.columns]
        assert names, "M1: a metric yields at least one column"
        assert len(set(names)) == len(names), f"M1: columns have distinct names; got {names}"
        for column in metric.columns:
            assert column.better in ("higher", "lower"), (
                f"M1: {column.name} says whether higher or lower is better; got {column.better!r}"
            )
            assert column.summary.strip(), f"M1: {column.name} has a summary"
            assert "\n" not in column.summary, f"M1: the summary of {column.name} is one line"

    def test_m2_every_column_has_a_value_or_a_reason(self, metric: Metric) -> None:
        for noise in (0.0, 30.0):
            scores = scored(metric, moving_square(noise))
            expected = {column.name for column in metric.columns}
            assert set(scores.values) == expected, (
                f"M2: score gives each declared column, {sorted(expected)}, and no other; got "
                f"{sorted(scores.values)}"
            )
            for name, value in scores.values.items():
                if value is None:
                    assert scores.notes, f"M2: where {name} is not defined, notes say why"
                else:
                    assert isinstance(value, float | int), f"M2: {name} is a number; got {value!r}"
                    assert math.isfinite(value), f"M2: {name} is finite or None; got {value}"

    def test_m3_no_video_is_closer_than_the_reference_itself(self, metric: Metric) -> None:
        if not metric.needs_reference:
            pytest.skip("the metric has no reference")
        same, noisy = (scored(metric, moving_square(noise)) for noise in (0.0, 30.0))
        for column in metric.columns:
            best, worse = same.values[column.name], noisy.values[column.name]
            if best is None:
                assert same.notes, f"M3: {column.name} of equal videos is defined or notes say why"
                continue
            assert worse is not None, f"M3: {column.name} of a noisy video is defined"
            assert _better(column, best, worse), (
                f"M3: {column.name} of equal videos, {best}, is {column.better} than of a noisy "
                f"one, {worse}"
            )

    def test_m4_frames_are_not_changed(self, metric: Metric) -> None:
        video, reference = (
            SharedClip(tuple(frame.copy() for frame in moving_square(noise).frames))
            for noise in (20.0, 0.0)
        )
        metric.score(video, reference if metric.needs_reference else None, PROMPT)
        for clip, noise in ((video, 20.0), (reference, 0.0)):
            pairs = zip(clip.frames, moving_square(noise).frames, strict=True)
            assert all(np.array_equal(frame, before) for frame, before in pairs), (
                "M4: the frames belong to the caller; scoring changed them"
            )

    def test_m5_settings_can_be_recorded(self, metric: Metric) -> None:
        settings = metric.settings()
        assert json.loads(json.dumps(dict(settings))) == dict(settings), (
            f"M5: settings are texts, numbers and booleans that JSON keeps; got {settings}"
        )
        assert dict(metric.settings()) == dict(settings), "M5: settings do not change"

    def test_m6_scores_are_repeatable(self, metric: Metric) -> None:
        found = []
        for seed in (1, 2):
            with global_seed(seed) as untouched:
                found.append(scored(metric, moving_square(20.0)))
                assert untouched(), "M6: the global random generators are left alone"
        assert found[0] == found[1], (
            f"M6: equal videos have equal scores; got {found[0].values} and {found[1].values}"
        )
        between = scored(metric, moving_square(5.0, brightness=120))
        assert scored(metric, moving_square(20.0)) == found[0], (
            f"M6: a score does not depend on earlier ones such as {between.values}"
        )

    def test_m7_per_frame_figures_are_as_many_as_frames(self, metric: Metric) -> None:
        for name, figures in scored(metric, moving_square(20.0)).per_frame.items():
            assert len(figures) == FRAMES, (
                f"M7: per_frame[{name!r}] has one figure for each of {FRAMES} frames; got "
                f"{len(figures)}"
            )

    def test_m8_the_curve_over_prefixes_is_what_drift_says(self, metric: Metric) -> None:
        video = moving_square(20.0)
        if metric.drift == "prefixes":
            for length in prefix_lengths(FRAMES):
                scored(metric, Clip(video.frames[:length]))
        if metric.drift != "frames":
            pytest.skip("the metric has no drift by frames")
        scores = scored(metric, video)
        for column in metric.columns:
            figures = scores.per_frame.get(column.name, [])
            assert figures, f"M8: drift by frames needs per_frame[{column.name!r}]"
            assert scores.values[column.name] == pytest.approx(mean(figures), rel=1e-6), (
                f"M8: {column.name} is the mean of its defined per-frame figures, {mean(figures)}; "
                f"got {scores.values[column.name]}"
            )

    def test_m9_another_process_finds_the_same(
        self, metric: Metric, kvbench_metric: str | None
    ) -> None:
        if kvbench_metric is None:
            pytest.skip("the metric has no registered name")
        here = scored(metric, moving_square(20.0)).values
        there = scored_elsewhere(kvbench_metric, 20.0)
        # Libraries add in another order when they have fewer threads.
        assert there == pytest.approx(here, rel=1e-5), (
            f"M9: a worker process finds the same scores; here {here}, there {there}"
        )


def _better(column: Column, best: float, worse: float) -> bool:
    return best > worse if column.better == "higher" else best < worse
