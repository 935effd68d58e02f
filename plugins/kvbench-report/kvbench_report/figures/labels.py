"""Where to write numbers beside points so that they can be told apart."""

from __future__ import annotations

from collections.abc import Sequence
from math import cos, hypot, pi, sin

from attrs import frozen
from matplotlib.axes import Axes

from kvbench_report.figures.key import TEXT_SIZE
from kvbench_report.figures.style import INK, MUTED

DIRECTIONS = tuple(pi / 4 * turn for turn in (1, 0, 7, 3, 4, 5, 2, 6))
"""Up and to the right first, as a reader expects; straight up and down last."""
DISTANCES = (7.5, 12.0, 17.0, 23.0, 30.0)
CROWDED = 1000.0
SAME_PLACE = 3.0
DIGIT_WIDTH, OTHER_WIDTH, LINE_HEIGHT = 0.64, 0.32, 1.1  # of DejaVu Sans, in font sizes


@frozen
class Box:
    """A rectangle in points, by its centre and its half sizes."""

    x: float
    y: float
    half_width: float
    half_height: float

    def overlap(self, other: Box) -> float:
        """Area that both cover."""
        wide = self.half_width + other.half_width - abs(self.x - other.x)
        high = self.half_height + other.half_height - abs(self.y - other.y)
        return max(0.0, wide) * max(0.0, high)

    def outside(self, width: float, height: float) -> bool:
        """Whether it leaves the area from the origin to ``(width, height)``."""
        return not (
            self.half_width <= self.x <= width - self.half_width
            and self.half_height <= self.y <= height - self.half_height
        )


@frozen
class Label:
    """A text, the point that it belongs to, and where it is written; all in points."""

    text: str
    anchor: tuple[float, float]
    box: Box

    @property
    def distant(self) -> bool:
        """Whether a line must lead from the point to the text."""
        away = hypot(self.box.x - self.anchor[0], self.box.y - self.anchor[1])
        return away > DISTANCES[1] + self.box.half_width


LEADER = {"arrowstyle": "-", "color": MUTED, "lw": 0.4, "shrinkA": 3, "shrinkB": 2}

Place = tuple[str, float, float]
"""A text and its point ``(x, y)``, in points from the lower left corner of the axes."""


def number_points(axes: Axes, points: Sequence[tuple[int, float, float]]) -> None:
    """Write each ``(number, x, y)`` beside its point; ``axes`` has all its data by now."""
    axes.autoscale_view()  # otherwise limits are found when the figure is drawn
    to_points = 72 / axes.figure.dpi
    area = axes.get_window_extent()
    width, height = area.width * to_points, area.height * to_points
    places = []
    for number, x, y in points:
        right, up = axes.transData.transform((x, y))
        places.append((str(number), (right - area.x0) * to_points, (up - area.y0) * to_points))
    for label in place_labels(places, width, height, TEXT_SIZE):
        axes.annotate(
            label.text,
            (label.anchor[0] / width, label.anchor[1] / height),
            xytext=(label.box.x / width, label.box.y / height),
            xycoords="axes fraction",
            textcoords="axes fraction",
            ha="center",
            va="center_baseline",
            fontsize=TEXT_SIZE,
            color=INK,
            zorder=6,
            arrowprops=LEADER if label.distant else None,
        )


def place_labels(points: Sequence[Place], width: float, height: float, size: float) -> list[Label]:
    """Write each text near its point, clear of other points and texts as far as possible.

    Greedy and deterministic. Points at one place share a label: ``"3, 7"``.
    """
    merged = _merged(points)
    taken = [Box(x, y, 3.5, 3.5) for _, x, y in merged]
    labels = []
    for text, x, y in merged:
        box = min(
            _candidates(text, x, y, size),
            key=lambda candidate: candidate[0] + _crowding(candidate[1], taken, width, height),
        )[1]
        taken.append(box)
        labels.append(Label(text, (x, y), box))
    return labels


def _merged(points: Sequence[Place]) -> list[Place]:
    places: list[tuple[list[str], float, float]] = []
    for text, x, y in points:
        near = next((p for p in places if hypot(p[1] - x, p[2] - y) < SAME_PLACE), None)
        if near is None:
            places.append(([text], x, y))
        else:
            near[0].append(text)
    return [(", ".join(texts), x, y) for texts, x, y in places]


def _candidates(text: str, x: float, y: float, size: float) -> list[tuple[float, Box]]:
    wide = sum(DIGIT_WIDTH if char.isdigit() else OTHER_WIDTH for char in text)
    half_width, half_height = wide * size / 2, size * LINE_HEIGHT / 2
    return [
        (
            distance + 0.1 * preference,
            Box(
                x + cos(angle) * (distance + half_width - half_height / 2),
                y + sin(angle) * distance,
                half_width,
                half_height,
            ),
        )
        for distance in DISTANCES
        for preference, angle in enumerate(DIRECTIONS)
    ]


def _crowding(box: Box, taken: Sequence[Box], width: float, height: float) -> float:
    return sum(box.overlap(other) for other in taken) + CROWDED * box.outside(width, height)
