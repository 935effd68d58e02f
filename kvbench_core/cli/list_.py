"""``kvbench list``: what is installed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import click
from attrs import asdict

from kvbench_core.plugins import Failure
from kvbench_core.registry import Entry, Registry, build_registry
from kvbench_core.specs import (
    BackendSpec,
    CommandSpec,
    MetricSpec,
    PartSpec,
    PolicySpec,
    Spec,
    SuiteSpec,
)

KINDS: Mapping[str, type[Spec]] = {
    "policies": PolicySpec,
    "parts": PartSpec,
    "backends": BackendSpec,
    "metrics": MetricSpec,
    "suites": SuiteSpec,
    "commands": CommandSpec,
}


@click.command("list")
@click.argument("kind", required=False, type=click.Choice(list(KINDS)))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--verbose", is_flag=True, help="Show expressions, tags and tracebacks.")
def list_(kind: str | None, as_json: bool, verbose: bool) -> None:
    """Show what is installed: methods, backends, metrics, suites.

    Policies are the named methods; parts are what expressions such as 'rtn(bits=4)' are made of.
    Plugins that could not be loaded are shown at the end, with the reason.
    """
    registry = build_registry()
    kinds = [kind] if kind else list(KINDS)
    tables = {name: [_row(entry) for entry in _entries(registry, name)] for name in kinds}
    if as_json:
        failed = [asdict(failure) for failure in registry.failed]
        click.echo(json.dumps({**tables, "failed": failed}, indent=2))
        return
    for name, rows in tables.items():
        _print(name, rows if verbose else [_short(row) for row in rows])
    _print_failures(registry.failed, verbose)


def _entries(registry: Registry, kind: str) -> Sequence[Entry]:
    return list(registry.all(KINDS[kind]).values())


def _row(entry: Entry) -> dict[str, str | list[str]]:
    spec = entry.spec
    row: dict[str, str | list[str]] = {"name": spec.name}
    if isinstance(spec, PartSpec):
        row["kind"] = spec.kind
    elif not isinstance(spec, CommandSpec):
        row["family"] = str(getattr(spec, "family", ""))
    if isinstance(spec, PolicySpec):
        row |= {"expression": spec.expression, "tags": list(spec.tags)}
    return {
        **row,
        "package": entry.plugin.package,
        "version": entry.plugin.version,
        "summary": spec.summary,
    }


def _short(row: Mapping[str, str | list[str]]) -> dict[str, str | list[str]]:
    return {key: value for key, value in row.items() if key not in ("expression", "tags")}


def _print(kind: str, rows: Sequence[Mapping[str, str | list[str]]]) -> None:
    from tabulate import tabulate

    click.secho(kind, bold=True)
    table = tabulate(rows, headers="keys", tablefmt="plain", disable_numparse=True)
    for line in table.splitlines() or ["none installed"]:
        click.echo(f"  {line}")
    click.echo()


def _print_failures(failed: Sequence[Failure], verbose: bool) -> None:
    if failed:
        click.secho("could not be loaded", bold=True)
    for failure in failed:
        click.echo(f"  {failure.name} ({failure.package} {failure.version}): {failure.reason}")
        if verbose:
            click.echo("".join(f"    {line}\n" for line in failure.details.splitlines()))
    if failed and not verbose and any(failure.details for failure in failed):
        click.echo("  (--verbose shows the tracebacks)")
