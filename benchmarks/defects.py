"""Demonstrations of the published study's known defects, each a block of docs/defects.md."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from benchmarks.demonstrations import coding, figures, history, importance
from benchmarks.pages import docs_option, provenance, single_thread, update
from kvbench_core.registry import Registry, build_registry

DEMONSTRATIONS: dict[str, Callable[[Registry], str]] = {
    "D1": coding.d1,
    "D2": coding.d2,
    "D3": coding.d3,
    "D4": history.d4,
    "D6": coding.d6,
    "D7": coding.d7,
    "D8": history.d8,
    "D9": importance.d9,
    "D10": importance.d10,
    "D11": importance.d11,
    "D12": importance.d12,
    "D13": figures.d13,
    "D14": lambda registry: f"{history.d14(registry)}\n\n{figures.d14(registry)}",
    "D15": figures.d15,
    "D16": coding.d16,
    "D18": figures.d18,
    "D19": figures.d19,
    "D20": figures.d20,
    "D21": figures.d21,
}
"""D5 and D17 have none: they are about code that kvbench has nothing like."""


@click.command()
@click.option("--only", multiple=True, type=click.Choice(list(DEMONSTRATIONS)), help="Repeatable.")
@docs_option
@click.pass_context
def main(ctx: click.Context, only: tuple[str, ...], docs: Path) -> None:
    """Write the demonstrations into docs/defects.md. Tensors are drawn with seed 0."""
    single_thread()
    registry = build_registry()
    blocks = {name: DEMONSTRATIONS[name](registry) for name in only or DEMONSTRATIONS}
    if not only:
        blocks = {"provenance": provenance(ctx, "defects", "All tensors: seed 0."), **blocks}
    update(docs / "defects.md", blocks)


if __name__ == "__main__":
    main()
