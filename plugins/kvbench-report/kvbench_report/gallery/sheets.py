"""Contact sheets: the same frames of one prompt for several methods."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np

from kvbench_core.errors import StoreError, UnknownNameError
from kvbench_core.metric import Frame
from kvbench_core.run.records import CellRecord
from kvbench_core.run.store import MANIFEST, file_sha256
from kvbench_core.run.video import StoredVideo
from kvbench_report.figures.sheet import Strip, contact_sheet
from kvbench_report.gallery.plates import Absent, Drawing, Plate
from kvbench_report.subject import Subject

COLUMNS = 6
ROWS = 10
SELECTION = "BF16 and up to nine methods from the best to the worst"


def sheets(subject: Subject, prompts: Sequence[str], methods: Sequence[str]) -> Iterator[Drawing]:
    """One sheet for each of ``prompts`` (the first, if none is named).

    Without ``methods``: the reference and nine others, spread evenly from the best quality to the
    worst (from the highest compression to the lowest, if there is no quality).

    Raises:
        UnknownNameError: the run has no such prompt or method.
    """
    for kind, names, known in (
        ("prompt", prompts, subject.results.prompts),
        ("method", methods, subject.results.names),
    ):
        for name in names:
            if name not in known:
                listing = str(subject.store.root / MANIFEST)
                raise UnknownNameError(f"{kind} of this run", name, known, listing)
    rows = [subject.results.row(name) for name in methods] or _spread(subject)
    for prompt in prompts or subject.results.prompts[:1]:
        yield _sheet(subject, prompt, rows, spread=not methods)


def _spread(subject: Subject) -> list[int]:
    column = subject.quality or "compression_ratio"
    level = subject.results.level(column)
    sign = -1 if subject.results.columns[column].better == "higher" else 1
    reference = subject.results.reference
    ranked = [
        int(row)
        for row in np.argsort(sign * level, kind="stable")
        if row != reference and not np.isnan(level[row])
    ]
    first = [] if reference is None else [reference]
    places = np.linspace(0, len(ranked) - 1, min(len(ranked), ROWS - len(first)))
    return first + [ranked[round(place)] for place in places]


def _sheet(subject: Subject, prompt: str, rows: Sequence[int], spread: bool) -> Drawing:
    text = next(each.text for each in subject.found.manifest.prompts if each.id == prompt)
    title = f"{prompt}: {text}"
    found = [_record(subject, row, prompt) for row in rows]
    videos = [record.video for record in found if record and record.video]
    if not videos:
        return Absent(f"Frames of {title}", "none of these methods has a video of this prompt.")
    size = (videos[0].frames, videos[0].height, videos[0].width)
    places = sorted({round(place) for place in np.linspace(0, size[0] - 1, COLUMNS)})
    with ThreadPoolExecutor() as pool:  # decoding does not hold the interpreter's lock
        frames = list(pool.map(partial(_frames, subject, places, size), found))
    strips = [
        Strip(subject.results.names[row], shown, why, _detail(subject, row, prompt))
        for row, (shown, why) in zip(rows, frames, strict=True)
    ]
    if not any(strip.frames for strip in strips):
        return Absent(f"Frames of {title}", f"no video can be shown: {strips[0].why}.")
    fps = videos[0].fps
    columns = [f"frame {place + 1}, {place / fps:.2f} s" for place in places]
    return Plate(
        f"frames-{subject.results.prompts.index(prompt)}",
        f"The same frames for {SELECTION if spread else 'chosen methods'}, prompt {title}",
        f"Contact sheet of {len(places)} frames for {', '.join(s.method for s in strips)}.",
        partial(contact_sheet, title, columns, strips),
    )


def _record(subject: Subject, row: int, prompt: str) -> CellRecord | None:
    mine = subject.records(subject.results.methods[row])
    return next((record for record in mine if record.cell.prompt == prompt), None)


def _frames(
    subject: Subject, places: Sequence[int], size: tuple[int, int, int], record: CellRecord | None
) -> tuple[list[Frame], str]:
    """The frames at ``places`` of a video of ``size``, or why there are none."""
    if record is None or record.video is None:
        return [], "was not made"
    video = record.video
    if (video.frames, video.height, video.width) != size:
        return [], f"has another size: {video.frames} frames, {video.width} x {video.height}"
    path = subject.store.video_path(record.cell.id)
    try:
        if file_sha256(path) != video.sha256:
            return [], "the video is not the one that was recorded"
        stored = StoredVideo(path, video.frames, video.fps)
        shown = [frame for place, frame in enumerate(stored) if place in places]
    except OSError as error:
        return [], f"the video cannot be read: {error.strerror or error}"
    except StoreError:
        return [], "the video is damaged"
    if any(frame.shape[:2] != size[1:] for frame in shown):
        return [], "the video is not of the size that was recorded"
    return shown, ""


def _detail(subject: Subject, row: int, prompt: str) -> str:
    """The prompt's own figure of quality."""
    if subject.quality is None:
        return ""
    display = subject.display(subject.quality)
    column = subject.results.prompts.index(prompt)
    value = float(subject.results.values[subject.quality][row, column])
    return f"{display.name} {display.text(value)}"
