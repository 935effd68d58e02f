"""Figures over time: one panel for each family, with the reference in every one."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle

from attrs import frozen
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kvbench_report.figures.ends import number_ends
from kvbench_report.figures.key import Named, draw_key
from kvbench_report.figures.style import FAINT, Look, looks

WIDTH = 8.8
COLUMNS = 3
TOP_INCHES, BOTTOM_INCHES, PANEL_INCHES, GAP_INCHES = 0.62, 0.5, 1.42, 0.3
LEFT, RIGHT, GAP = 0.075, 0.62, 0.012
LEAST_INCHES = 5.4
ROOM_FOR_NUMBERS = 0.22
DASHES = ("-", (0, (5, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1.5, 2)))


@frozen(kw_only=True)
class Curve(Named):
    """A method's line through ``(x[i], y[i])``."""

    x: Sequence[float]
    y: Sequence[float]


def curves(title: str, x: str, y: str, lines: Sequence[Curve]) -> Figure:
    """Draw ``lines``, of which there is at least one, by family on common axes.

    Lines of the other families are grey, the reference's is black.
    """
    families = list(dict.fromkeys(line.family for line in lines if not line.reference))
    families = families or [lines[0].family]
    rows = -(-len(families) // COLUMNS)
    needed = TOP_INCHES + BOTTOM_INCHES + rows * (PANEL_INCHES + GAP_INCHES)
    figure = Figure(figsize=(WIDTH, max(LEAST_INCHES, needed)))
    figure.text(LEFT, 1 - 0.2 / figure.get_figheight(), title, va="top", fontweight="bold")
    family_looks = looks(line.family for line in lines)
    for place, family in enumerate(families):
        axes = _panel(figure, place, rows, len(families))
        axes.set_title(family, color=family_looks[family].colour)
        _fill(axes, family, lines, family_looks[family])
        if place % COLUMNS == 0:
            axes.set_ylabel(y)
        else:
            axes.tick_params(labelleft=False)
        if place + COLUMNS >= len(families):
            axes.set_xlabel(x)
        else:
            axes.tick_params(labelbottom=False)
    draw_key(figure, lines, family_looks, "black: the reference; grey: other families")
    return figure


def _panel(figure: Figure, place: int, rows: int, count: int) -> Axes:
    columns = min(COLUMNS, count)
    inches = figure.get_figheight()
    width = (RIGHT - LEFT - (columns - 1) * GAP) / columns
    height = (inches - TOP_INCHES - BOTTOM_INCHES - (rows - 1) * GAP_INCHES) / rows
    row, column = divmod(place, columns)
    bottom = BOTTOM_INCHES + (rows - 1 - row) * (height + GAP_INCHES)
    return figure.add_axes((LEFT + column * (width + GAP), bottom / inches, width, height / inches))


def _fill(axes: Axes, family: str, lines: Sequence[Curve], look: Look) -> None:
    mine = [line for line in lines if line.family == family and not line.reference]
    for line in lines:
        if line.reference:
            axes.plot(line.x, line.y, color=looks([])["BF16"].colour, lw=1.1, zorder=3)
        elif line.family != family:
            axes.plot(line.x, line.y, color=FAINT, lw=0.6, zorder=1)
    for line, dash in zip(mine, cycle(DASHES)):
        marker = "o" if len(line.x) == 1 else None
        axes.plot(line.x, line.y, color=look.colour, lw=1.3, ls=dash, marker=marker, ms=4, zorder=4)
    low, high = min(min(line.x) for line in lines), max(max(line.x) for line in lines)
    axes.set_xlim(low, high + ROOM_FOR_NUMBERS * ((high - low) or 1.0))
    number_ends(axes, [(line.number, line.x[-1], line.y[-1]) for line in mine])
