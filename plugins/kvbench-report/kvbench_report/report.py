"""``kvbench report``: a run as a folder that needs nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from kvbench_core.errors import StoreError

from kvbench_report import gallery
from kvbench_report.figures.files import png, svg
from kvbench_report.figures.style import styled
from kvbench_report.gallery import Absent, Drawing
from kvbench_report.html import about, numbers
from kvbench_report.html.blocks import Block, Picture, Section, Text
from kvbench_report.html.page import inline, page
from kvbench_report.subject import Subject


def write_report(root: Path, out: Path) -> Path:
    subject = Subject.read(root)
    (out / "figures").mkdir(parents=True, exist_ok=True)
    with styled():
        sections = [
            about.headline(subject),
            numbers.main_table(subject),
            Section("tradeoffs", "Trade-offs", _drawn(gallery.overview(subject), out)),
            numbers.statistics(subject),
            Section("traces", "Memory over the rollout", _drawn(gallery.traces(subject), out)),
            about.failures(subject),
            about.provenance(subject),
        ]
    target = out / "report.html"
    target.write_text(page(subject.results.title, "sub", sections), encoding="utf-8")
    return target


def _drawn(drawings: Iterable[Drawing], out: Path) -> list[Block]:
    blocks: list[Block] = []
    for drawing in drawings:
        if isinstance(drawing, Absent):
            blocks.append(Text(f"{drawing.caption}: {drawing.why}"))
            continue
        figure = drawing.draw()
        picture = svg(figure)
        (out / "figures" / f"{drawing.name}.svg").write_text(picture, encoding="utf-8")
        (out / "figures" / f"{drawing.name}.png").write_bytes(png(figure))
        shown = inline(picture, drawing.name, drawing.alt)
        blocks.append(Picture(drawing.name, drawing.caption, drawing.alt, shown))
    return blocks
