"""Which figures a run gets, with words for those who cannot see them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from attrs import asdict, frozen
from kvbench_core.run.records import Figures
from matplotlib.figure import Figure

from kvbench_report.figures.curves import Curve, curves
from kvbench_report.figures.scatter import Interval, Point, Scale, scatter
from kvbench_report.stats import Estimate, estimates
from kvbench_report.subject import Subject

EVALUATE = "`kvbench evaluate` computes it from the stored videos."
ALL_VALUES = "All values are in the tables."


@frozen
class Plate:
    """A figure: its file's name, what stands below it, what it shows in words, how it is drawn."""

    name: str
    caption: str
    alt: str
    draw: Callable[[], Figure]


@frozen
class Absent:
    """A figure that cannot be drawn, and why."""

    name: str
    caption: str
    why: str


Drawing = Plate | Absent


def overview(subject: Subject) -> Iterator[Drawing]:
    """Peak memory against compression, quality and runtime."""
    quality = subject.quality or "a quality metric"
    yield plane(subject, "peak-compression", "compression_ratio", "peak_bytes")
    yield plane(subject, "quality-peak", "peak_bytes", quality)
    yield plane(subject, "runtime-peak", "peak_bytes", "runtime_s")


def plane(
    subject: Subject, name: str, x: str, y: str, strong: Sequence[str] | None = None, title: str = ""
) -> Drawing:
    """Two columns against each other; methods that are not ``strong`` are hollow."""
    missing = [column for column in (x, y) if not subject.measured(column)]
    if missing:
        caption = title or f"{y} against {x}".replace("_", " ")
        return Absent(name, caption, f"there is no {missing[0].replace('_', ' ')}. {EVALUATE}")
    across, up = subject.display(x), subject.display(y)
    title = title or f"{up.name} against {across.name}".capitalize()
    points = list(_points(subject, x, y, strong))
    remark = "filled: on the frontier" if strong is not None else ""
    left_out = len(subject.results.methods) - len(points)
    return Plate(
        name,
        title + (f"; {left_out} methods without both figures are left out" if left_out else ""),
        f"Scatter plot of {up.name} against {across.name} for {len(points)} methods. "
        f"{_best(subject, x)} {_best(subject, y)} {ALL_VALUES}",
        lambda: scatter(
            title,
            Scale(across.name, across.unit, across.better),
            Scale(up.name, up.unit, up.better),
            points,
            remark,
        ),
    )


def _points(
    subject: Subject, x: str, y: str, strong: Sequence[str] | None
) -> Iterator[Point]:
    across, up = subject.display(x), subject.display(y)
    pairs = zip(estimates(subject.results, x), estimates(subject.results, y), strict=True)
    for row, (right, high) in enumerate(pairs):
        if not (_finite(right) and _finite(high)):
            continue
        named = subject.named(row)
        yield Point(
            **asdict(named) | {"strong": strong is None or named.method in strong},
            x=right.value / across.divisor,
            y=high.value / up.divisor,
            x_interval=_interval(right, across.divisor),
            y_interval=_interval(high, up.divisor),
        )


def _finite(estimate: Estimate) -> bool:
    return estimate.value is not None and bool(np.isfinite(estimate.value))


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


def traces(subject: Subject) -> Iterator[Drawing]:
    """Stored keys and values over the rollout."""
    lines = list(_traces(subject, lambda figures: figures.kv_stored_bytes))
    name, caption = "kv-trace", "Stored keys and values over the rollout, mean over prompts"
    if not lines:
        yield Absent(name, caption, "no cell was made.")
        return
    unit, divisor = subject.display("stored_bytes").unit, subject.display("stored_bytes").divisor
    shown = [_scaled(line, divisor) for line in lines]
    yield Plate(
        name,
        caption,
        f"Lines of stored bytes after each chunk for {len(lines)} methods, by family. {ALL_VALUES}",
        lambda: curves(caption, "share of the generation's time", f"stored KV ({unit})", shown),
    )


def _traces(subject: Subject, series: Callable[[Figures], Sequence[float]]) -> Iterator[Curve]:
    """Means over prompts of ``series`` after each chunk, over the share of time that has passed."""
    for row, method in enumerate(subject.results.methods):
        figures = [record.figures for record in subject.records(method) if record.figures]
        whole = [each for each in figures if len(series(each)) == len(each.chunk_s) > 0]
        if not whole or len({len(each.chunk_s) for each in whole}) > 1:
            continue
        times = np.mean([np.cumsum(each.chunk_s) / sum(each.chunk_s) for each in whole], axis=0)
        values = np.mean([series(each) for each in whole], axis=0)
        yield Curve(**asdict(subject.named(row)), x=[0.0, *times], y=[0.0, *values])


def _scaled(line: Curve, divisor: float) -> Curve:
    return Curve(**asdict(line) | {"y": [value / divisor for value in line.y]})
