"""A figure of a run before it is drawn, or the reason why it cannot be."""

from __future__ import annotations

from collections.abc import Callable

from attrs import frozen
from matplotlib.figure import Figure


@frozen
class Plate:
    """A figure: its file's name, what stands below it, what it shows in words, how it is drawn."""

    name: str
    caption: str
    alt: str
    draw: Callable[[], Figure]


@frozen
class Absent:
    """A figure that cannot be drawn, and why, as a sentence with its remedy."""

    caption: str
    why: str


Drawing = Plate | Absent
