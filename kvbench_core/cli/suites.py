"""``kvbench suites``: prompt suites, and the published prompt files that some of them need."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click
from attrs import asdict

from kvbench_core.errors import KvbenchError, UnknownNameError
from kvbench_core.registry import build_registry
from kvbench_core.specs import SuiteSpec

if TYPE_CHECKING:
    from kvbench_core.prompt_files import PromptFile


@click.group()
def suites() -> None:
    """List, show and fetch prompt suites.

    A suite of your own is a file: `kvbench run --suite prompts.txt`. A .txt file has one prompt a
    line; .csv and .jsonl have `prompt` and, if you like, `id`.
    """


@suites.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_(as_json: bool) -> None:
    """Show the installed suites, and which are ready to use."""
    from tabulate import tabulate

    registry = build_registry()
    rows = []
    for name, entry in registry.all(SuiteSpec).items():
        try:
            prompts, state = len(registry.suite(name).prompts), "ready"
        except KvbenchError as error:
            prompts, state = None, str(error)
        rows.append(
            {"name": name, "prompts": prompts, "summary": entry.spec.summary, "state": state}
        )
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    table = [row | {"state": "ready" if row["state"] == "ready" else "-"} for row in rows]
    click.echo(tabulate(table, headers="keys", tablefmt="plain", missingval="-"))
    for row in rows:
        if row["state"] != "ready":
            click.echo(f"\n{row['name']}: {row['state']}")


@suites.command()
@click.argument("name", metavar="NAME|FILE")
@click.option(
    "--first",
    type=click.IntRange(min=1),
    default=10,
    show_default=True,
    metavar="N",
    help="How many prompts to show.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(name: str, first: int, as_json: bool) -> None:
    """Print a suite's prompts.

    NAME is an installed suite, FILE a prompt file. The number before each prompt is added to the
    base seed of a run.
    """
    from kvbench_core.suite import find_suite

    suite = find_suite(build_registry(), name)
    shown = suite.prompts[:first]
    if as_json:
        click.echo(json.dumps([asdict(prompt) for prompt in shown], indent=2))
        return
    for prompt in shown:
        click.echo(f"{prompt.index:>5}  {prompt.id}  {prompt.text}")
    if len(shown) < len(suite.prompts):
        click.echo(f"... and {len(suite.prompts) - len(shown)} more (--first)")


@suites.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--quiet", is_flag=True, help="No progress.")
def fetch(names: tuple[str, ...], quiet: bool) -> None:
    """Download published prompt files into the user's cache, all of them if none is named.

    An interrupted download goes on where it was. A file is used only if its SHA-256 is that of the
    published one.
    """
    from kvbench_core.prompt_files import PROMPT_FILES

    for name in names:
        if name not in PROMPT_FILES:
            raise UnknownNameError("published prompt file", name, PROMPT_FILES)
    for name in names or PROMPT_FILES:
        file = PROMPT_FILES[name]
        outcome = "fetched to" if _fetched(file, quiet) else "is there already:"
        click.echo(f"{name}: {outcome} {file.cached}")


def _fetched(file: PromptFile, quiet: bool) -> bool:
    from rich.console import Console
    from rich.progress import Progress

    from kvbench_core.fetch import fetch as fetch_file

    with Progress(console=Console(stderr=True), disable=quiet, transient=True) as bars:
        bar = bars.add_task(file.suite, total=file.bytes)
        return fetch_file(file, lambda done: bars.update(bar, completed=done))
