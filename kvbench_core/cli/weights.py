"""``kvbench weights``: what generators have to download, and downloading it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kvbench_core.registry import Registry, build_registry
from kvbench_core.specs import BackendSpec

if TYPE_CHECKING:
    from kvbench_core.backend import WeightFile

GB = 1e9


@click.group()
def weights() -> None:
    """List and download the weights of video generators."""


@weights.command(name="list")
@click.argument("backends", nargs=-1)
@click.option(
    "--weights",
    "folder",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Look in this folder instead of where generators look by themselves.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_(backends: tuple[str, ...], folder: Path | None, as_json: bool) -> None:
    """Every file that BACKENDS (default: all) need, its size, and where it was found."""
    registry = build_registry()
    found = dict(_files(registry, backends, folder))
    if as_json:
        rows = {name: [_row(file) for file in files] for name, files in found.items()}
        click.echo(json.dumps(rows, indent=2))
        return
    for name, files in found.items():
        click.secho(name, bold=True)
        for file in files:
            size = f" ({file.bytes / GB:.1f} GB)" if file.bytes else ""
            where = str(file.path) if file.path else f"missing; from {file.source}"
            click.echo(f"  {'+' if file.path else '-'} {file.name}{size}: {where}")
        if not files:
            click.echo("  + built in")
    if not found:
        click.echo("no backend is installed; try: pip install kvbench-selfforcing-wan")


def _files(
    registry: Registry, names: Iterable[str], folder: Path | None
) -> Iterable[tuple[str, list[WeightFile]]]:
    for name in names or registry.all(BackendSpec):
        backend = registry.backend(name)
        if folder is not None:
            backend = backend.configured(weights=str(folder))
        yield name, list(backend.weight_files())


def _row(file: WeightFile) -> dict[str, Any]:
    return {
        "name": file.name,
        "source": file.source,
        "bytes": file.bytes,
        "path": str(file.path) if file.path else None,
    }


@weights.command()
@click.argument("backend")
@click.option(
    "--to",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Into this folder, for `kvbench run --weights DIR` [default: the Hugging Face cache].",
)
def fetch(backend: str, folder: Path | None) -> None:
    """Download the weights of BACKEND, as far as they are not there.

    Files that are whole are kept when it is stopped and started again. Every large file's SHA-256
    is compared with the one that the Hub states. The weights have licences of their own, which are
    shown.
    """
    build_registry().backend(backend).fetch_weights(folder, click.echo)
    click.echo("complete")
