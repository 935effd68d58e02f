"""``kvbench conformance``: does a method, generator, metric or suite keep the contract?"""

from __future__ import annotations

import json
from importlib.util import find_spec

import click

from kvbench_core.cli.options import split_names
from kvbench_core.errors import KvbenchError, printable
from kvbench_core.registry import build_registry


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--device", default="cpu", show_default=True, help="Where generators run.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def conformance(ctx: click.Context, names: tuple[str, ...], device: str, as_json: bool) -> None:
    """Check that methods, generators, metrics, suites and commands keep docs/contract.md.

    A NAME is anything that `kvbench list` shows, a family or tag, or an expression such as
    "rtn(bits=3)+recent(2)". Without one, everything installed is checked. The exit code is 1 if
    anything fails.
    """
    if find_spec("pytest") is None:
        raise KvbenchError(
            "the conformance suite runs on pytest, which is not installed: "
            "pip install 'kvbench-core[conformance]'"
        )
    from kvbench_core.conformance.report import Subject, check
    from kvbench_core.conformance.selection import select

    chosen = select(build_registry(), split_names(names)) if names else {}

    def show(subject: Subject) -> None:
        if not as_json:
            _print(subject)

    report = check(chosen, device, show)
    if as_json:
        click.echo(json.dumps(report.as_dict(), indent=2))
    else:
        _conclude(report.errors, len(report.subjects))
    ctx.exit(0 if report.kept else 1)


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
