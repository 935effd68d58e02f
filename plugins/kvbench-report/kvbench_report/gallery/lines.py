"""Figures over time: memory over the rollout, drift over the video."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from statistics import fmean

import numpy as np
from attrs import asdict

from kvbench_core.run.records import CellRecord, Figures
from kvbench_report.figures.curves import Curve, curves
from kvbench_report.gallery.plates import Absent, Drawing, Plate
from kvbench_report.results import MethodInfo
from kvbench_report.subject import Subject

TIME = "normalised time"


def traces(subject: Subject) -> Iterator[Drawing]:
    """Memory in use and the stored cache after each chunk."""
    yield _trace(
        subject, "kv-trace", "Stored keys and values over the rollout", "stored_bytes",
        lambda figures: [0, *figures.kv_stored_bytes],
        "no cell was made.",
    )  # fmt: skip
    yield _trace(
        subject, "memory-trace", "Memory in use over the rollout", "peak_bytes",
        lambda figures: [figures.generation.before_bytes, *figures.memory_bytes]
        if figures.memory_bytes else [],
        "this run is of a kvbench that did not record it; a new run does.",
    )  # fmt: skip


def _trace(
    subject: Subject, name: str, caption: str, column: str,
    series: Callable[[Figures], Sequence[int]], why: str,
) -> Drawing:  # fmt: skip
    lines = [
        line
        for row, method in enumerate(subject.results.methods)
        if (line := _mean_trace(subject, row, method, column, series))
    ]
    if not lines:
        return Absent(caption, why)
    unit = subject.display(column).unit
    return Plate(
        name,
        f"{caption}, mean over prompts",
        f"{caption}: one panel for each family, {len(lines)} methods, after each chunk.",
        partial(curves, caption, TIME, unit, lines),
    )


def _mean_trace(
    subject: Subject, row: int, method: MethodInfo, column: str,
    series: Callable[[Figures], Sequence[int]],
) -> Curve | None:  # fmt: skip
    found = [r.figures for r in subject.records(method) if r.figures and sum(r.figures.chunk_s)]
    whole = [figures for figures in found if len(series(figures)) == len(figures.chunk_s) + 1]
    if len({len(figures.chunk_s) for figures in whole}) != 1:
        return None
    times = [np.cumsum([0, *figures.chunk_s]) / sum(figures.chunk_s) for figures in whole]
    values = np.mean([series(figures) for figures in whole], axis=0)
    return Curve(
        **asdict(subject.named(row)),
        x=np.mean(times, axis=0).tolist(),
        y=(values / subject.display(column).divisor).tolist(),
    )


def drift(subject: Subject) -> Iterator[Drawing]:
    """Each score on growing prefixes of the videos."""
    columns = dict.fromkeys(
        name
        for scores in subject.found.scores.values()
        for score in scores
        for name in score.drift
        if name in subject.results.columns
    )
    if not columns:
        yield Absent("Drift", "no score has a curve. `kvbench evaluate` computes them.")
    for name in columns:
        lines = [
            line
            for row, method in enumerate(subject.results.methods)
            if (line := _mean_drift(subject, row, method, name))
        ]
        if lines:
            yield _drift(subject, name, lines)


def _drift(subject: Subject, column: str, lines: Sequence[Curve]) -> Plate:
    display = subject.display(column)
    title = f"{display.name} of the first frames of a video"
    return Plate(
        f"drift-{column}",
        f"{title}, mean over prompts; the right end is drift-last",
        f"{title}: one panel for each family, {len(lines)} methods. The last values and slopes "
        "are in the table below.",
        partial(curves, title, "first frames", display.title, lines),
    )


def _mean_drift(subject: Subject, row: int, method: MethodInfo, column: str) -> Curve | None:
    values: dict[int, list[float]] = defaultdict(list)
    for record in subject.records(method):
        for length, score in _curve(subject, record, column):
            values[length].append(score)
    if not values:
        return None
    lengths = sorted(values)
    means = [fmean(values[length]) for length in lengths]
    return Curve(**asdict(subject.named(row)), x=lengths, y=means)


def _curve(subject: Subject, record: CellRecord, column: str) -> Iterator[tuple[int, float]]:
    for score in subject.found.scores[record.cell.id]:
        if column in score.drift:
            curve = score.drift[column]
            for length, value in zip(curve.frames, curve.scores, strict=True):
                if value is not None:
                    yield length, value
