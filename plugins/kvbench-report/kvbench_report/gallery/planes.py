"""Two columns of a run against each other: the overview and the four frontiers."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import numpy as np
from attrs import asdict, frozen

from kvbench_report.figures.scatter import Interval, Point, Scale, scatter
from kvbench_report.gallery.plates import Absent, Drawing, Plate
from kvbench_report.stats import Estimate, estimates
from kvbench_report.subject import Subject

EVALUATE = "`kvbench evaluate` computes scores from the stored videos."


@frozen
class Plane:
    """What is drawn against what; ``members`` are filled and the other methods hollow."""

    name: str
    title: str
    x: str
    y: str
    members: Collection[str] | None = None


def overview(subject: Subject) -> Iterator[Drawing]:
    """Peak memory against compression, quality and runtime."""
    quality = subject.quality or "quality"
    for plane in (
        Plane("peak-compression", "Peak memory and compression", "compression_ratio", "peak_bytes"),
        Plane("quality-peak", "Quality and peak memory", "peak_bytes", quality),
        Plane("runtime-peak", "Runtime and peak memory", "peak_bytes", "runtime_s"),
    ):
        yield draw_plane(subject, plane)


def draw_plane(subject: Subject, plane: Plane) -> Drawing:
    """A scatter plot, unless one of its columns was not measured."""
    for column in (plane.x, plane.y):
        if not subject.measured(column):
            return Absent(plane.title, f"there is no {column.replace('_', ' ')}. {EVALUATE}")
    across, up = subject.display(plane.x), subject.display(plane.y)
    points = list(_points(subject, plane))
    left_out = len(subject.results.methods) - len(points)
    return Plate(
        plane.name,
        plane.title + (f" ({left_out} methods without finite figures left out)" * bool(left_out)),
        f"Scatter plot of {up.name} against {across.name}, {len(points)} methods. "
        f"{_best(subject, plane.x)} {_best(subject, plane.y)} All figures are in the tables.",
        lambda: scatter(
            plane.title,
            Scale(across.name, across.unit, across.better),
            Scale(up.name, up.unit, up.better),
            points,
            "" if plane.members is None else "filled: on the frontier",
        ),
    )


def _points(subject: Subject, plane: Plane) -> Iterator[Point]:
    across, up = subject.display(plane.x), subject.display(plane.y)
    xs, ys = estimates(subject.results, plane.x), estimates(subject.results, plane.y)
    for row, (x, y) in enumerate(zip(xs, ys, strict=True)):
        if x.value is None or y.value is None or not np.isfinite([x.value, y.value]).all():
            continue
        named = asdict(subject.named(row))
        named["strong"] = plane.members is None or named["method"] in plane.members
        yield Point(
            **named,
            x=x.value / across.divisor,
            y=y.value / up.divisor,
            x_interval=_interval(x, across.divisor),
            y_interval=_interval(y, up.divisor),
        )


def _interval(estimate: Estimate, divisor: float) -> Interval | None:
    if estimate.low is None or estimate.high is None:
        return None
    return estimate.low / divisor, estimate.high / divisor


def _best(subject: Subject, column: str) -> str:
    """A sentence on the method that leads in a column."""
    display, level = subject.display(column), subject.results.level(column)
    level = np.where(np.isfinite(level), level, np.nan)
    row = int(np.nanargmax(level) if display.better == "higher" else np.nanargmin(level))
    word = "Highest" if display.better == "higher" else "Lowest"
    best = f"{display.text(level[row])} {display.unit}".strip()
    return f"{word} {display.name}: {subject.results.names[row]}, {best}."
