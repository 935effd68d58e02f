"""Which BF16 video the others are compared with."""

from __future__ import annotations

from collections.abc import Iterable

from kvbench_core.run.records import CellRecord

STAND_IN = "bf16()+window()"
"""Makes the video of BF16, bit for bit (clause P24), where BF16 itself does not fit into memory."""


def references(cells: Iterable[CellRecord]) -> dict[tuple[str, int, int], CellRecord]:
    """By prompt, seed and length the cell with the BF16 video, where there is one."""
    made = [cell for cell in cells if cell.video is not None]
    windowed = {c.cell.pairing: c for c in made if c.cell.method.expression == STAND_IN}
    return windowed | {c.cell.pairing: c for c in made if c.cell.method.is_reference}
