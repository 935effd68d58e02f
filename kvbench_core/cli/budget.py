"""``kvbench budget``: memory of every method at a geometry, without generating anything."""

from __future__ import annotations

import json
import re
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
@click.option(
    "--vram", type=size, metavar="SIZE", help="Also tell the longest rollout that fits, e.g. 24GiB."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def budget(
    methods: tuple[str, ...],
    backend: str,
    resolution: tuple[int, int] | None,
    frames: int | None,
    vram: int | None,
    as_json: bool,
) -> None:
    """Memory that METHODS need (default: every installed one), without generating anything.

    The figures come from running each method on tensors that have shapes but no memory, so they
    are what the method's own storage takes. "Floor" adds weights, latents and the decode buffer:
    no run can need less.
    """
    registry = build_registry()
    generator = registry.backend(backend).configured(resolution=resolution)
    length = frames if frames is not None else generator.default_frames
    generator.check_frames(length)
    rows = []
    for name in registry.select(methods or ("all",)):
        try:
            rows.append(_row(registry, name, generator, length, vram))
        except KvbenchError as error:
            if methods:
                raise
            click.echo(f"left out: {error}", err=True)
    if as_json:
        click.echo(json.dumps({"backend": backend, "frames": length, "methods": rows}, indent=2))
    else:
        click.echo(_table(rows, generator))
        pixels = "" if resolution is None else " at {}x{}".format(*resolution)
        click.echo(
            f"\n{backend}{pixels}, {length} latent frames ({_seconds(generator, length):.1f} s)."
        )
        if any(row["depends_on_data"] for row in rows):
            click.echo("* without what the data adds, such as outliers, or at the target share")


def _row(
    registry: Registry, name: str, backend: Backend, frames: int, vram: int | None
) -> dict[str, Any]:
    from kvbench_core.budget import footprint, longest_rollout
    from kvbench_core.integration import integrate
    from kvbench_core.naming import split_integration

    method, integration = split_integration(name)
    policy = integrate(registry.policy(method), integration)
    row: dict[str, Any] = {"method": name, **_figures(footprint(policy, backend, frames))}
    row["depends_on_data"] = not policy.promise().fixed_bytes
    if vram is not None:
        fits = longest_rollout(policy, backend, vram)
        row["longest_frames"] = fits.frames if fits else 0
        row["longest_s"] = _seconds(backend, fits.frames) if fits else 0.0
    return row


def _figures(figures: Footprint) -> dict[str, Any]:
    return {
        "dense_bytes": figures.dense_bytes,
        "stored_bytes": figures.stored_bytes,
        "compression_ratio": figures.compression_ratio,
        "scratch_bytes": figures.scratch_bytes,
        "resident_bytes": dict(figures.resident_bytes),
        "peak_floor_bytes": figures.peak_floor_bytes,
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
        if "longest_frames" in row:
            limit = row["longest_frames"] + backend.geometry().chunk_frames > backend.max_frames
            line["longest that fits"] = (
                f"{row['longest_frames']} frames, {row['longest_s']:.1f} s"
                + (" (the generator's limit)" if limit else "")
            )
        table.append(line)
    return tabulate(table, headers="keys", disable_numparse=True, colalign=("left",))
