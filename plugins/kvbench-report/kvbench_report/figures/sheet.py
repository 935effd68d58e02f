"""A contact sheet: the same frames of one prompt's video for several methods."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import fill
from typing import Any

import numpy as np
from attrs import frozen
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from kvbench_core.metric import Frame
from kvbench_report.figures.key import TEXT_SIZE, short
from kvbench_report.figures.style import MUTED

WIDTH = 8.8
NAMES_INCHES, TOP_INCHES, EDGE_INCHES = 2.35, 0.6, 0.08
GAP_PIXELS = 4
WIDEST_PIXELS = 208
LINE_CHARACTERS = 90


@frozen
class Strip:
    """One method's frames ``[height, width, 3]``, or ``why`` there are none.

    ``detail`` is written below the name.
    """

    method: str
    frames: Sequence[Frame] = ()
    why: str = ""
    detail: str = ""


def contact_sheet(title: str, columns: Sequence[str], strips: Sequence[Strip]) -> Figure:
    """Draw ``strips`` below one another under the names of their ``columns``.

    Frames are shown smaller if they are wider than 208 pixels, and never larger. At least one
    strip has frames; all frames have one size.
    """
    mosaic, cell_height, cell_width = _mosaic(strips, len(columns))
    inches = WIDTH - NAMES_INCHES - EDGE_INCHES
    body = inches * mosaic.shape[0] / mosaic.shape[1]
    height = TOP_INCHES + body + EDGE_INCHES
    figure = Figure(figsize=(WIDTH, height))
    figure.text(EDGE_INCHES / WIDTH, 1 - 0.12 / height, fill(title, LINE_CHARACTERS), va="top")
    axes = figure.add_axes(
        (NAMES_INCHES / WIDTH, EDGE_INCHES / height, inches / WIDTH, body / height)
    )
    axes.imshow(mosaic, interpolation="none", aspect="auto")
    axes.set_axis_off()
    for place, name in enumerate(columns):
        _write(axes, name, (place + 0.5) * cell_width, -GAP_PIXELS, ha="center", va="bottom")
    for place, strip in enumerate(strips):
        middle = (place + 0.5) * cell_height
        _write(axes, _wrapped(strip.method), -3 * GAP_PIXELS, middle, ha="right", va="bottom")
        _write(axes, strip.detail, -3 * GAP_PIXELS, middle, ha="right", va="top", color=MUTED)
        _write(axes, fill(strip.why, LINE_CHARACTERS), GAP_PIXELS, middle, color=MUTED)
    return figure


def _mosaic(strips: Sequence[Strip], columns: int) -> tuple[NDArray[np.uint8], int, int]:
    """All frames as one RGBA picture, clear where there is none, and a frame's cell in it."""
    height, width = next(_thumbnail(strip.frames[0]).shape[:2] for strip in strips if strip.frames)
    down, across = height + GAP_PIXELS, width + GAP_PIXELS
    mosaic = np.zeros((down * len(strips) - GAP_PIXELS, across * columns - GAP_PIXELS, 4), np.uint8)
    for row, strip in enumerate(strips):
        for column, frame in enumerate(strip.frames):
            top, left = row * down, column * across
            mosaic[top : top + height, left : left + width, :3] = _thumbnail(frame)
            mosaic[top : top + height, left : left + width, 3] = 255
    return mosaic, down, across


def _thumbnail(frame: Frame) -> Frame:
    height, width = frame.shape[:2]
    if width <= WIDEST_PIXELS:
        return frame
    size = (WIDEST_PIXELS, max(1, round(height * WIDEST_PIXELS / width)))
    return np.asarray(Image.fromarray(frame).resize(size, Image.Resampling.LANCZOS))


def _wrapped(method: str) -> str:
    """A name on two lines at most, broken at an underscore."""
    name = short(method)
    middle = name.rfind("_", 0, 30) + 1 if len(name) > 30 else 0
    return f"{name[:middle]}\n{name[middle:]}" if middle else name


def _write(axes: Axes, text: str, x: float, y: float, **style: Any) -> None:
    axes.text(x, y, text, fontsize=TEXT_SIZE, **({"va": "center"} | style))
