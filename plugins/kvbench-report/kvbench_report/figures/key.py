"""The numbers by which figures name methods, and the list that explains them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from attrs import frozen
from matplotlib.figure import Figure

from kvbench_report.figures.style import GRID, MUTED, PAPER, Look

LEFT, BOTTOM, TOP = 0.645, 0.03, 0.95
LINE_INCHES = 0.136
TEXT_SIZE = 6.5
LONGEST_NAME = 46


@frozen(kw_only=True)
class Named:
    """A method in a figure: the number that stands for it, its name and its family.

    ``strong`` is drawn filled; what is not, such as a dominated method, is hollow.
    """

    number: int
    method: str
    family: str
    reference: bool = False
    strong: bool = True


def draw_key(
    figure: Figure, methods: Iterable[Named], looks: Mapping[str, Look], remark: str = ""
) -> None:
    """List the methods, one line each, in the right third of ``figure``; ``remark`` goes below."""
    axes = figure.add_axes((LEFT, BOTTOM, 1 - LEFT, TOP - BOTTOM), xlim=(0, 1))
    axes.set_axis_off()
    axes.axvline(0, color=GRID, lw=0.8)
    row = -1
    for row, method in enumerate(methods):
        look = looks[method.family]
        fill = look.colour if method.strong else PAPER
        axes.plot(0.075, row, look.marker, color=look.colour, mfc=fill, ms=4.5, mew=0.8)
        axes.text(0.05, row, str(method.number), ha="right", va="center", fontsize=TEXT_SIZE)
        axes.text(0.105, row, short(method.method), va="center", fontsize=TEXT_SIZE)
    axes.text(0.05, row + 1.5, remark, va="center", fontsize=TEXT_SIZE, color=MUTED)
    axes.set_ylim(max(height_lines(figure), row + 2) - 0.5, -0.5)


def height_lines(figure: Figure) -> int:
    """How many lines the list has room for."""
    return int(figure.get_figheight() * (TOP - BOTTOM) / LINE_INCHES)


def short(name: str) -> str:
    """A method's name, cut in the middle if it is long."""
    half = LONGEST_NAME // 2
    return name if len(name) <= LONGEST_NAME else f"{name[: half - 1]}...{name[-half + 2 :]}"
