"""The published peaks taken apart, as one bar for each method."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from kvbench_core.errors import StoreError
from kvbench_core.published import GIB
from kvbench_report.peaks import Peak

COLOURS = {"other": "#b8b8b8", "packed": "#2a6f97", "surplus": "#a9d6e5", "published": "black"}


def check_path(path: Path) -> None:
    """Refuse a path that :func:`draw` cannot write, before anything is computed.

    Raises:
        StoreError: the folder is not there, or the format is unknown.
    """
    known = Figure().canvas.get_supported_filetypes()
    if path.suffix[1:].lower() not in known:
        raise StoreError(
            f"cannot draw {path}: its ending must be one of {', '.join(sorted(known))}"
        )
    if not path.absolute().parent.is_dir():
        raise StoreError(f"cannot draw {path}: there is no folder {path.parent}")


def draw(peaks: Sequence[Peak], path: Path) -> None:
    """Write the figure; the ending of ``path`` chooses the format.

    Raises:
        StoreError: it cannot be written.
    """
    check_path(path)
    try:
        peaks_figure(peaks).savefig(path, dpi=150)
    except OSError as error:
        raise StoreError(f"cannot draw {path}: {error.strerror or error}") from error


def peaks_figure(peaks: Sequence[Peak]) -> Figure:
    """Bars of everything else, the packed cache and what the containers add; a mark where the
    published peak is.
    """
    ordered = sorted(peaks, key=lambda peak: (peak.is_explained, -peak.packed_peak_bytes))
    places = range(len(ordered))
    figure = Figure(figsize=(9, 1.2 + 0.24 * len(ordered)), layout="constrained")
    axes = figure.subplots()
    other = [peak.other_bytes / GIB for peak in ordered]
    packed = [peak.packed_bytes / GIB for peak in ordered]
    surplus = [(peak.held_bytes - peak.packed_bytes) / GIB for peak in ordered]
    below = [a + b for a, b in zip(other, packed, strict=True)]
    axes.barh(places, other, color=COLOURS["other"], label="everything else")
    axes.barh(places, packed, left=other, color=COLOURS["packed"], label="cache, codes packed")
    wide = "codes in 8- or 16-bit integers"
    axes.barh(places, surplus, left=below, color=COLOURS["surplus"], label=wide)
    published = [peak.published_bytes / GIB for peak in ordered]
    mark = COLOURS["published"]
    axes.scatter(published, places, marker="|", s=80, lw=2, color=mark, label="published peak")
    axes.set_yticks(places, [_label(peak) for peak in ordered], fontsize=7)
    axes.set_ylim(-0.6, len(ordered) - 0.4)
    axes.set_xlabel("GiB")
    axes.set_title("Published peak memory and what it is made of", fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower center", ncols=4, fontsize=8, frameon=False)
    return figure


def _label(peak: Peak) -> str:
    return peak.method if peak.is_explained else f"{peak.method} (not explained)"
