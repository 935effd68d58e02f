"""Pages whose figures are generated: a block between two markers, prose around it by hand."""

from __future__ import annotations

import csv
import io
import os
import platform
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import click
import torch
from tabulate import tabulate

from kvbench_core.cli.options import given_options
from kvbench_core.registry import build_registry
from kvbench_core.run.environment import environment

DOCS = Path(__file__).parent.parent / "docs"
LEFT = ("method", "expression", "summary", "package", "family", "why", "what")
END = "<!-- end -->"

Row = Mapping[str, object]

docs_option = click.option(
    "--docs",
    type=click.Path(path_type=Path, file_okay=False),
    default=DOCS,
    help="Folder of the pages [default: docs of this repository].",
)


class PageError(click.ClickException):
    """A page cannot take a generated block."""


def single_thread() -> None:
    """One thread for torch: what these scripts compute is too small to gain by more."""
    torch.set_num_threads(1)


def table(rows: Sequence[Row]) -> str:
    """A Markdown table; texts go in as they are, headings named in ``LEFT`` to the left."""
    names = list(rows[0]) if rows else []
    return tabulate(
        [[str(row[name]).replace("|", "\\|") for name in names] for row in rows],
        headers=names,
        tablefmt="github",
        disable_numparse=True,
        colalign=["left" if name in LEFT else "right" for name in names],
    )


def code(text: str) -> str:
    """``text`` in a code span."""
    return f"`{text}`"


def update(page: Path, blocks: Mapping[str, str]) -> None:
    """Replace the named blocks of ``page``; a page that does not exist yet gets them alone.

    Raises:
        PageError: the page has no place for one of them.
    """
    if not page.exists():
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text("\n".join(f"{_begin(name)}\n{END}\n" for name in blocks))
    text = page.read_text(encoding="utf-8")
    for name, block in blocks.items():
        place = re.compile(re.escape(_begin(name)) + r"\n.*?" + re.escape(END), re.DOTALL)
        if not place.search(text):
            raise PageError(f"{page} has no line {_begin(name)!r} with {END!r} after it")
        whole = f"{_begin(name)}\n{block.strip()}\n{END}"
        text = place.sub(whole.replace("\\", r"\\"), text)
    page.write_text(text, encoding="utf-8")
    click.echo(f"{page}: {', '.join(blocks)}")


def block(page: Path, name: str) -> str:
    """What stands in a block of a page.

    Raises:
        PageError: there is no such block.
    """
    found = re.search(
        re.escape(_begin(name)) + r"\n(.*?)\n?" + re.escape(END), page.read_text(), re.DOTALL
    )
    if found is None:
        raise PageError(f"{page} has no block {name!r}")
    return found[1]


def _begin(name: str) -> str:
    return f"<!-- generated: {name} -->"


def write_csv(path: Path, rows: Sequence[Row]) -> None:
    """``rows`` under the headings of the first."""
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    path.write_text(out.getvalue(), encoding="utf-8")
    click.echo(f"{path}: {len(rows)} rows")


def provenance(ctx: click.Context, script: str, *notes: str) -> str:
    """What made a page: the exact command, the machine, the versions."""
    here = environment(build_registry(), "cpu")
    options = {name: value for name, value in given_options(ctx).items() if name != "docs"}
    command = " ".join([f"python -m benchmarks.{script}", *_words(ctx, options)])
    packages = {name: here.packages[name] for name in ("torch", "numpy", "kvbench-core")}
    versions = ", ".join(f"{name} {version}" for name, version in packages.items())
    revision = f"revision {here.git.commit[:10]}" if here.git else "no revision"
    return "\n".join(
        [
            f"Made by `{command}` on {_processor()}, {os.cpu_count()} cores, "
            f"threads used: {torch.get_num_threads()}; {platform.system()}, Python {here.python}, "
            f"{versions}; {revision}.",
            *notes,
        ]
    )


def _words(ctx: click.Context, options: Mapping[str, str]) -> list[str]:
    arguments = {p.name for p in ctx.command.params if isinstance(p, click.Argument)}
    return [
        *(value for name, value in options.items() if name in arguments),
        *(
            f"--{name.replace('_', '-')} {value}"
            for name, value in options.items()
            if name not in arguments
        ),
    ]


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*:\s*(.+)", info.read_text()) if info.exists() else []
    return names[0] if names else platform.processor() or platform.machine()
