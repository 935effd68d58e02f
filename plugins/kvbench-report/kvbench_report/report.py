"""A run as a folder that needs nothing else: a page, its figures, its tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from attrs import frozen

from kvbench_core.errors import StoreError
from kvbench_core.run.serial import with_whole_file
from kvbench_report.figures.files import png, svg
from kvbench_report.figures.style import styled
from kvbench_report.frontier import FRONTIERS, frontier
from kvbench_report.gallery.lines import drift, traces
from kvbench_report.gallery.planes import draw_plane, overview
from kvbench_report.gallery.plates import Absent, Drawing
from kvbench_report.gallery.sheets import sheets
from kvbench_report.html.about import failures, headline, provenance
from kvbench_report.html.blocks import Block, Picture, Section, Text
from kvbench_report.html.choice import frontier_planes, membership, recommendation
from kvbench_report.html.numbers import drift_table, main_table, statistics
from kvbench_report.html.page import inline, page
from kvbench_report.subject import Subject
from kvbench_report.tables import paper_tables


def write_report(
    root: Path, out: Path, prompts: Sequence[str] = (), methods: Sequence[str] = ()
) -> Path:
    """Write the report of the run in ``root`` to ``out``; returns the page's path.

    Contact sheets are of ``prompts`` and ``methods``. An earlier report there is overwritten; the
    run is not changed.

    Raises:
        KvbenchError: there is no run, it has no such prompt or method, or nothing can be written.
    """
    subject = Subject.read(root)
    shown = list(sheets(subject, prompts, methods))  # first, as it may refuse
    folder = _Folder(out)
    found = {name: frontier(subject.results, name) for name in FRONTIERS}
    with styled():
        planes = folder.draw(
            draw_plane(subject, plane) for plane in frontier_planes(subject, found)
        )
        sections = [
            headline(subject),
            recommendation(subject),
            main_table(subject),
            Section("trade-offs", "Trade-offs", folder.draw(overview(subject))),
            Section("frontiers", "Frontiers", [*planes, *membership(subject, found)]),
            statistics(subject),
            Section("drift", "Drift", [*folder.draw(drift(subject)), *drift_table(subject)]),
            Section("memory", "Memory over the rollout", folder.draw(traces(subject))),
            Section("frames", "Frames", folder.draw(shown)),
            failures(subject),
            provenance(subject),
        ]
    for name, text in paper_tables(subject).items():
        folder.write(f"tables/{name}", text.encode())
    request = subject.found.manifest.request
    subtitle = (
        f"KV-cache methods on {request.generator}, suite {request.suite}, "
        f"{request.frames} latent frames, {request.device}"
    )
    text = page(subject.results.title, subtitle, sections)
    return folder.write("report.html", text.encode(errors="replace"))  # the run's own name


@frozen
class _Folder:
    """Where the report goes."""

    root: Path

    def write(self, name: str, content: bytes) -> Path:
        """Write a file.

        Raises:
            StoreError: it cannot be written.
        """
        path = self.root / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"cannot write {path}: {error.strerror or error}") from error
        with_whole_file(path, lambda partial: partial.write_bytes(content))
        return path

    def draw(self, drawings: Iterable[Drawing]) -> list[Block]:
        """Write figures as PNG and SVG; returns them for the page."""
        return [self._block(drawing) for drawing in drawings]

    def _block(self, drawing: Drawing) -> Block:
        if isinstance(drawing, Absent):
            return Text(f"{drawing.caption}: {drawing.why}")
        figure = drawing.draw()
        text = svg(figure)
        self.write(f"figures/{drawing.name}.svg", text.encode())
        self.write(f"figures/{drawing.name}.png", png(figure))
        shown = inline(text, drawing.name, drawing.alt)
        return Picture(drawing.name, drawing.caption, shown)
