"""``kvbench conformance``: does a method, generator, metric or suite keep the contract?"""

from __future__ import annotations

import json
from collections.abc import Iterable
from importlib.util import find_spec

import click

from kvbench_core.cli.options import split_names
from kvbench_core.errors import KvbenchError, UnknownNameError, printable
from kvbench_core.registry import Registry, build_registry
from kvbench_core.specs import BackendSpec, CommandSpec, MetricSpec, PolicySpec, Spec, SuiteSpec

KINDS: dict[str, type[Spec]] = {
    "policy": PolicySpec,
    "backend": BackendSpec,
    "metric": MetricSpec,
    "suite": SuiteSpec,
    "command": CommandSpec,
}


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--device", default="cpu", show_default=True, help="Where generators run.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def conformance(ctx: click.Context, names: tuple[str, ...], device: str, as_json: bool) -> None:
    """Check that methods, generators, metrics, suites and commands keep docs/contract.md.

    A NAME is anything that `kvbench list` shows, a family or tag of methods, or an expression such
    as "rtn(bits=3)+recent(2)". Without one, everything installed is checked. The exit code is 1 if
    anything fails.
    """
    if find_spec("pytest") is None:
        raise KvbenchError(
            "the conformance suite runs on pytest, which is not installed: "
            "pip install 'kvbench-core[conformance]'"
        )
    from kvbench_core.conformance.report import Subject, check

    chosen = _resolved(build_registry(), split_names(names)) if names else {}

    def show(subject: Subject) -> None:
        if not as_json:
            _print(subject)

    report = check(chosen, device, show)
    if as_json:
        click.echo(json.dumps(report.as_dict(), indent=2))
    else:
        _conclude(report.errors, len(report.subjects))
    ctx.exit(0 if report.kept else 1)


def _resolved(registry: Registry, names: Iterable[str]) -> dict[str, list[str]]:
    """What the names mean, by kind; a name that several kinds have means all of them."""
    chosen: dict[str, list[str]] = {kind: [] for kind in KINDS}
    for name in names:
        kinds = [kind for kind, spec in KINDS.items() if name in registry.all(spec)]
        for kind in kinds:
            chosen[kind].append(name)
        if not kinds:
            chosen["policy"] += _methods(registry, name)
    return chosen


def _methods(registry: Registry, text: str) -> list[str]:
    """The methods of a family or tag, or the one that an expression stands for."""
    selected = registry.select([text])
    if selected == [text]:
        try:
            registry.expand(text)
        except UnknownNameError as error:
            if error.name != text:
                raise
            known = [name for spec in KINDS.values() for name in registry.all(spec)]
            raise UnknownNameError(
                "method, generator, metric, suite or command", text, known
            ) from error
    return selected


def _print(subject: object) -> None:
    from kvbench_core.conformance.report import Subject

    assert isinstance(subject, Subject)
    click.secho(f"{subject.kind} {printable(subject.name)}: ", bold=True, nl=False)
    if subject.failed:
        total = subject.held + len(subject.failed)
        click.secho(f"{len(subject.failed)} of {total} checks fail", fg="red")
    else:
        click.secho(f"{subject.held} checks pass", fg="green" if subject.held else None)
    for reason in subject.not_checked:
        click.echo(f"  {printable(reason)}")
    tests: dict[str, list[str]] = {}
    for failure in subject.failed:
        tests.setdefault(failure.message, []).append(failure.test)
    for message, failed in tests.items():
        more = f" and {len(failed) - 1} more" if len(failed) > 1 else ""
        click.echo(f"  {failed[0]}{more}")
        click.echo(f"    {printable(message)}")


def _conclude(errors: list[str], subjects: int) -> None:
    for error in errors:
        click.secho(printable(error), fg="red")
    if not subjects and not errors:
        click.echo("Nothing to check.")
