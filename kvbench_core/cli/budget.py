"""``kvbench budget``: memory of every method at a geometry, without generating anything."""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click
from tabulate import tabulate

from kvbench_core.cli.options import resolution_option
from kvbench_core.errors import KvbenchError
from kvbench_core.registry import Registry, build_registry

if TYPE_CHECKING:
    from kvbench_core.backend import Backend
    from kvbench_core.budget import Footprint

GIB = 2**30
UNITS = {"": 1, "K": 1000, "M": 1000**2, "G": 1000**3, "KI": 2**10, "MI": 2**20, "GI": 2**30}


def size(text: str) -> int:
    """Bytes of an amount of memory such as ``24GiB``, ``16GB`` or ``500MiB``."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMG]I?)?B?\s*", text.upper())
    if match is None:
        raise click.BadParameter(f"{text!r} is no amount of memory; write it like 24GiB")
    return int(float(match[1]) * UNITS[match[2] or ""])


@click.command()
@click.argument("methods", nargs=-1)
@click.option("--backend", default="wan-1.3b", show_default=True, help="Generator to plan for.")
@click.option(
    "--resolution",
    type=resolution_option,
    metavar="WIDTHxHEIGHT",
    help="Size of the video in pixels [default: the backend's].",
)
@click.option("--frames", type=int, help="Latent frames of the rollout [default: the backend's].")
@click.option("--seconds", type=float, help="Length of the video, instead of --frames.")
@click.option(
    "--vram",
    type=size,
    metavar="SIZE",
    help="Memory of the device, e.g. 24GiB. With --seconds or --frames: which methods fit, the "
    "least compressed first; else: the longest video that fits with each.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def budget(
    methods: tuple[str, ...],
    backend: str,
    resolution: tuple[int, int] | None,
    frames: int | None,
    seconds: float | None,
    vram: int | None,
    as_json: bool,
) -> None:
    """Memory that METHODS need (default: every installed one), without generating anything.

    \b
    Examples:
      kvbench budget RTN_INT4 KIVI --frames 84
      kvbench budget --seconds 30 --vram 12GiB      which methods can do that?
      kvbench budget RTN_INT4 --vram 24GiB          how long can a video be?

    The figures come from running each method on tensors that have shapes but no memory, so they
    are what the method's own storage takes. "Floor" adds weights, latents and the decode buffer:
    no run can need less. What fits leaves 1.25 GiB besides, for CUDA and the kernels' workspaces,
    and has room to decode the video when the cache is gone.

    If no METHODS are named, those that fit are looked for among all of them with window(), where
    the generator has a window: that frees what is never read again, and the video stays the same.
    """
    registry = build_registry()
    generator = registry.backend(backend).configured(resolution=resolution)
    length = _length(generator, frames, seconds)
    choosing = vram is not None and (frames is not None or seconds is not None)
    names = _names(registry, methods, choosing and generator.geometry().window_frames is not None)
    rows = []
    with click.progressbar(names, file=sys.stderr, hidden=not sys.stderr.isatty()) as planning:
        for name in planning:
            try:
                rows.append(_row(registry, name, generator, length, vram, choosing))
            except KvbenchError as error:
                if methods:
                    raise
                click.echo(f"left out: {error}", err=True)
    if choosing:
        rows.sort(key=lambda row: (not row["fits"], row["compression_ratio"]))
    if as_json:
        click.echo(json.dumps({"backend": backend, "frames": length, "methods": rows}, indent=2))
        return
    pixels = "" if resolution is None else " --resolution {}x{}".format(*resolution)
    click.echo(_table(rows, generator))
    click.echo(f"\n{backend}{pixels}, " + "\n".join(_notes(rows, generator, length)))
    if choosing:
        click.echo(_answer(rows, f"--backend {backend}{pixels} --frames {length}"))


def _length(backend: Backend, frames: int | None, seconds: float | None) -> int:
    """Latent frames of the rollout; the fewest whole chunks that last ``seconds``."""
    if frames is not None and seconds is not None:
        raise click.UsageError("give --frames or --seconds, not both")
    if seconds is None:
        length = backend.default_frames if frames is None else frames
        backend.check_frames(length)
        return length
    chunk = backend.geometry().chunk_frames
    possible = range(chunk, backend.max_frames + 1, chunk)
    length = next((n for n in possible if 0 < seconds <= _seconds(backend, n)), 0)
    if not length:
        most = _seconds(backend, possible[-1])
        raise click.BadParameter(f"{seconds:g} is not between 0 and this generator's {most:.1f} s")
    return length


def _names(registry: Registry, methods: tuple[str, ...], windowed: bool) -> Iterable[str]:
    """The methods to plan; of two names for one method, such as BF16_WINDOW, the later."""
    if methods or not windowed:
        return registry.select(methods or ["all"])
    selected = registry.select(["all+window()"])
    return {str(registry.expand(name)): name for name in selected}.values()


def _row(
    registry: Registry, name: str, backend: Backend, frames: int, vram: int | None, choosing: bool
) -> dict[str, Any]:
    from kvbench_core.budget import footprint, longest_rollout
    from kvbench_core.integration import integrate
    from kvbench_core.naming import split_integration

    method, integration = split_integration(name)
    policy = integrate(registry.policy(method), integration)
    planned = footprint(policy, backend, frames)
    row: dict[str, Any] = {"method": name, **_figures(planned)}
    row["depends_on_data"] = not policy.promise().fixed_bytes
    if vram is not None and choosing:
        row["fits"] = planned.fits(vram)
    elif vram is not None:
        longest = longest_rollout(policy, backend, vram)
        row["longest_frames"] = longest.frames if longest else 0
        row["longest_s"] = _seconds(backend, longest.frames) if longest else 0.0
    return row


def _figures(figures: Footprint) -> dict[str, Any]:
    return {
        "dense_bytes": figures.dense_bytes,
        "stored_bytes": figures.stored_bytes,
        "compression_ratio": figures.compression_ratio,
        "scratch_bytes": figures.scratch_bytes,
        "resident_bytes": dict(figures.resident_bytes),
        "peak_floor_bytes": figures.peak_floor_bytes,
        "decoding_bytes": figures.decoding_bytes,
    }


def _seconds(backend: Backend, frames: int) -> float:
    return backend.video_frames(frames) / backend.fps


def _table(rows: list[dict[str, Any]], backend: Backend) -> str:
    table = []
    for row in rows:
        line = {
            "method": row["method"],
            "ratio": f"{row['compression_ratio']:.3f}" + ("*" if row["depends_on_data"] else ""),
            "KV stored GiB": f"{row['stored_bytes'] / GIB:.3f}",
            "decode buffer GiB": f"{row['scratch_bytes'] / GIB:.3f}",
            "peak floor GiB": f"{row['peak_floor_bytes'] / GIB:.3f}",
        }
        if "fits" in row:
            line["fits"] = "yes" if row["fits"] else "no"
        if "longest_frames" in row:
            line["longest that fits"] = _longest(row, backend)
        table.append(line)
    return tabulate(table, headers="keys", disable_numparse=True, colalign=("left",))


def _longest(row: dict[str, Any], backend: Backend) -> str:
    frames = row["longest_frames"]
    if not frames:
        return "none"
    limited = frames + backend.geometry().chunk_frames > backend.max_frames
    limit = " (the generator's limit)" if limited else ""
    return f"{frames} frames, {row['longest_s']:.1f} s{limit}"


def _notes(rows: list[dict[str, Any]], backend: Backend, frames: int) -> Iterable[str]:
    yield f"{frames} latent frames ({_seconds(backend, frames):.1f} s)."
    if decoding := backend.decoding_bytes():
        yield f"Decoding the video afterwards takes {decoding / GIB:.2f} GiB."
    if any(row["depends_on_data"] for row in rows):
        yield "* without what the data adds, such as outliers, or at the target share"


def _answer(rows: list[dict[str, Any]], options: str) -> str:
    """Which methods fit, in a sentence, and how to run the least compressed of them."""
    fit = [row["method"] for row in rows if row["fits"]]
    if not fit:
        return f"None of {len(rows)} methods fits."
    return (
        f"{len(fit)} of {len(rows)} methods fit, {fit[0]} with the least compression:\n\n"
        f"  kvbench run {options} -m {shlex.quote(fit[0])}"
    )
