"""Two axes against each other, one numbered point for each method."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attrs import frozen
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kvbench_report.figures.key import Named, draw_key
from kvbench_report.figures.labels import number_points
from kvbench_report.figures.style import MUTED, PAPER, Look, looks

WIDTH, HEIGHT = 8.8, 5.4
PLOT = (0.075, 0.10, 0.545, 0.83)  # left, bottom, width, height of the axes
ARROWS = {"higher": "more is better", "lower": "less is better"}
GUIDE: dict[str, Any] = {"color": MUTED, "lw": 0.7, "ls": (0, (4, 3))}

Interval = tuple[float, float]


@frozen
class Scale:
    """An axis: what it shows, in which unit, and which way is ``better``: higher or lower."""

    name: str
    unit: str
    better: str

    @property
    def title(self) -> str:
        """As it is written beside the axis."""
        unit = f" ({self.unit})" if self.unit not in ("", "1") else ""
        return f"{self.name}{unit}, {ARROWS[self.better]}"


@frozen(kw_only=True)
class Point(Named):
    """A method's place, with intervals where they are known."""

    x: float
    y: float
    x_interval: Interval | None = None
    y_interval: Interval | None = None


def scatter(title: str, x: Scale, y: Scale, points: Sequence[Point], remark: str = "") -> Figure:
    """Draw ``points``; ``remark`` says what a filled marker means.

    Dashed lines go through the reference: beyond them is better or worse than no compression.
    """
    figure = Figure(figsize=(WIDTH, HEIGHT))
    axes = figure.add_axes(PLOT, title=title, xlabel=x.title, ylabel=y.title)
    axes.margins(0.07)
    family_looks = looks(point.family for point in points)
    for point in points:
        _draw(axes, point, family_looks[point.family])
        if point.reference:
            axes.axvline(point.x, **GUIDE)
            axes.axhline(point.y, **GUIDE)
    number_points(axes, [(point.number, point.x, point.y) for point in points])
    draw_key(figure, points, family_looks, remark)
    return figure


def _draw(axes: Axes, point: Point, look: Look) -> None:
    axes.errorbar(
        point.x,
        point.y,
        xerr=_arms(point.x, point.x_interval),
        yerr=_arms(point.y, point.y_interval),
        fmt="none",
        ecolor=look.colour,
        elinewidth=0.7,
        alpha=0.35,
    )
    axes.plot(
        point.x,
        point.y,
        look.marker,
        color=look.colour,
        mfc=look.colour if point.strong else PAPER,
        mew=0.9,
        ms=10 if point.reference else 6,
        zorder=4 if point.strong else 3,
    )


def _arms(value: float, interval: Interval | None) -> list[list[float]] | None:
    if interval is None:
        return None
    low, high = interval
    return [[max(0.0, value - low)], [max(0.0, high - value)]]
