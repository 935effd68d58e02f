"""``kvbench``: each command is a module of its own, imported when it is used."""

from __future__ import annotations

import os
from typing import Any

import click

from kvbench_core.errors import KvbenchError, PluginError, UnknownNameError, printable
from kvbench_core.plugins import BLOCKED
from kvbench_core.registry import Entry, Registry, build_registry
from kvbench_core.specs import CommandSpec

ELSEWHERE = {
    "compare": "kvbench-report",
    "dashboard": "kvbench-dashboard",
    "frontier": "kvbench-report",
    "published": "kvbench-report",
    "recommend": "kvbench-report",
    "report": "kvbench-report",
}
"""Commands that our other packages bring, for the hint where they are missing."""
INTERRUPTED = 130


class Commands(click.Group):
    """Imports commands late, and turns a user's mistake into one line and exit code 2."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(build_registry().all(CommandSpec))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        registry = build_registry()
        entry = registry.all(CommandSpec).get(cmd_name)
        if entry is None:
            if ctx.resilient_parsing:  # completion of a half-written word
                return None
            raise _unknown(cmd_name, registry)
        command = _imported(entry)
        if all(parameter.name != "debug" for parameter in command.params):
            command.params.append(_debug_option())
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands by what they registered, none of them imported."""
        entries = build_registry().all(CommandSpec)
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.spec.summary) for name, entry in entries.items()])

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KvbenchError as error:
            if ctx.meta.get("debug"):
                raise
            click.echo(f"Error: {printable(' '.join(str(error).split()))}", err=True)
            if isinstance(error, UnknownNameError):
                _name_faulty_plugins()
            ctx.exit(2)
        except KeyboardInterrupt:
            click.echo("\nInterrupted.", err=True)
            ctx.exit(INTERRUPTED)


def _imported(entry: Entry) -> click.Command:
    """The command that an entry stands for.

    Raises:
        PluginError: it cannot be imported, or is something else.
    """
    spec, plugin = entry.spec, entry.plugin
    assert isinstance(spec, CommandSpec)
    fault = f"the command {spec.name!r} of {plugin.package} {plugin.version} cannot be used: "
    try:
        command = spec.load()
    except PluginError as error:
        cause = error.__cause__
        raise PluginError(f"{fault}{type(cause).__name__}: {cause}") from cause
    if not isinstance(command, click.Command):
        raise PluginError(f"{fault}{spec.target} is no click command")
    return command


def _unknown(name: str, registry: Registry) -> KvbenchError:
    package = ELSEWHERE.get(name)
    if package is None:
        known = [*registry.all(CommandSpec), *ELSEWHERE]
        return UnknownNameError("command", name, known, listing="kvbench --help")
    skipped = next((f for f in registry.failed if f.package == package), None)
    remedy = f", which was skipped: {skipped.reason}" if skipped else f": pip install {package}"
    return PluginError(f"`kvbench {name}` comes with {package}{remedy}")


def _name_faulty_plugins() -> None:
    """A name may be unknown because what provides it could not be loaded."""
    for failure in build_registry().failed:
        if failure.reason != BLOCKED:
            line = f"{failure.package} {failure.version} could not be loaded: {failure.reason}"
            click.echo(f"Note: {printable(line)}", err=True)


def _debug_option() -> click.Option:
    def remember(ctx: click.Context, _: click.Parameter, value: bool) -> None:
        ctx.meta["debug"] = value

    return click.Option(
        ["--debug"],
        is_flag=True,
        expose_value=False,
        callback=remember,
        help="Show the traceback of an error.",
    )


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="kvbench-core", prog_name="kvbench")
def main() -> None:
    """Compare KV-cache compression methods for self-forcing video generation.

    Start with `kvbench run`: it generates videos with an uncompressed (BF16) cache and with
    compressed ones, scores them and prints a table. `kvbench list` shows what is installed.
    """
    # Read when torch loads. Threads that spin while they wait make small models twenty times slower
    # as soon as anything else runs on the same cores; ones that never do, by two fifths if nothing
    # else runs. GNU's OpenMP, torch's on Linux, can spin for the time between two small operations.
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")
