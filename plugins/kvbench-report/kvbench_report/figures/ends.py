"""Numbers at the right ends of lines, one above the other in the lines' order."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes

from kvbench_report.figures.key import TEXT_SIZE
from kvbench_report.figures.style import INK, MUTED

SPACING = 1.05 * TEXT_SIZE
AWAY = 11.0


def number_ends(axes: Axes, ends: Sequence[tuple[int, float, float]]) -> None:
    """Write each ``(number, x, y)`` to the right of its point; ``axes`` has all its data by now."""
    axes.autoscale_view()  # otherwise limits are found when the figure is drawn
    to_points = 72 / axes.figure.dpi
    ordered = sorted(ends, key=lambda end: (end[2], -end[0]))
    heights = [axes.transData.transform((x, y))[1] * to_points for _, x, y in ordered]
    for (number, x, y), own, height in zip(ordered, heights, spread(heights), strict=True):
        axes.annotate(
            str(number),
            (x, y),
            xytext=(AWAY, height - own),
            textcoords="offset points",
            va="center_baseline",
            fontsize=TEXT_SIZE,
            color=INK,
            arrowprops={"arrowstyle": "-", "color": MUTED, "lw": 0.4, "shrinkA": 0.5, "shrinkB": 0},
        )


def spread(heights: Sequence[float]) -> list[float]:
    """Ascending ``heights`` moved apart to :data:`SPACING`, as little as possible (in squares).

    Runs of heights that touch move as one block about their common mean.
    """
    blocks: list[list[float]] = []
    for height in heights:
        blocks.append([height])
        while len(blocks) > 1 and _top(blocks[-2]) + SPACING > _bottom(blocks[-1]):
            last = blocks.pop()
            blocks[-1] += last
    return [_bottom(block) + i * SPACING for block in blocks for i in range(len(block))]


def _bottom(block: Sequence[float]) -> float:
    return sum(block) / len(block) - (len(block) - 1) * SPACING / 2


def _top(block: Sequence[float]) -> float:
    return _bottom(block) + (len(block) - 1) * SPACING
