"""What the page is made of, as plain data; the template writes it down."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen
from markupsafe import Markup


@frozen
class Text:
    """A paragraph."""

    text: str


@frozen
class Items:
    """A list of lines."""

    lines: Sequence[str]


@frozen
class Facts:
    """Names and values."""

    pairs: Sequence[tuple[str, str]]


@frozen
class Heading:
    """A column's heading; ``numeric`` columns are set flush right, ``about`` is its long form."""

    text: str
    about: str = ""
    numeric: bool = True


@frozen
class Cell:
    """A table cell: ``key`` is its number, by which it is sorted; ``mark`` is written beside it."""

    text: str
    key: float | None = None
    mark: str = ""


@frozen
class Row:
    """A line of a table: its ``header`` and its cells; ``family`` and ``colour`` are a method's."""

    header: str
    cells: Sequence[Cell]
    family: str = ""
    colour: str = ""


@frozen
class Table:
    """A table; one with ``families`` has a filter above it, and every one can be sorted.

    ``first`` heads the rows' headers. A ``folded`` table opens on a click.
    """

    caption: str
    first: str
    headings: Sequence[Heading]
    rows: Sequence[Row]
    families: Sequence[str] = ()
    folded: bool = False


@frozen
class Picture:
    """A figure: its files' ``name`` without ending, and the SVG that goes into the page."""

    name: str
    caption: str
    svg: Markup


Block = Text | Items | Facts | Table | Picture


@frozen
class Section:
    """A chapter of the page."""

    anchor: str
    title: str
    blocks: Sequence[Block]


def cells(*texts: str) -> list[Cell]:
    """Cells of plain text."""
    return [Cell(text) for text in texts]
