"""How a run or an evaluation tells what it does."""

from __future__ import annotations

from typing import Protocol

from kvbench_core.errors import printable
from kvbench_core.run.records import CellError, CellKey


class Listener(Protocol):
    """Hears about items: cells that are made, or scores that are computed."""

    def plan(self, items: int, finished: int, steps: int) -> None:
        """There are ``items`` of ``steps`` steps each; ``finished`` of them exist already."""

    def note(self, text: str) -> None:
        """Something worth a line."""

    def start(self, item: str) -> None:
        """An item begins."""

    def step(self, done: int) -> None:
        """``done`` steps of the item are done."""

    def finish(self, item: str, result: str) -> None:
        """An item has ended, here or in another process."""


def title(cell: CellKey) -> str:
    """A cell in words."""
    attached = "" if cell.method.integration == "streaming" else f"@{cell.method.integration}"
    return f"{cell.method.label}{attached} on {cell.prompt}"


def reason(error: CellError) -> str:
    """An error as one printable line: what a method raised may hold anything."""
    text = " ".join(f"{error.type}: {error.message}".split())
    return printable(text)[:300]
