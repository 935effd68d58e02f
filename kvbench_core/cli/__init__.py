"""``kvbench``: each command is a module of its own, imported when it is used."""

from __future__ import annotations

import os
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import click

from kvbench_core.errors import KvbenchError, printable

COMMANDS = {
    "run": "kvbench_core.cli.run:run",
    "evaluate": "kvbench_core.cli.evaluate:evaluate",
    "report": "kvbench_core.cli.report:report",
    "list": "kvbench_core.cli.list_:list_",
    "budget": "kvbench_core.cli.budget:budget",
    "doctor": "kvbench_core.cli.doctor:doctor",
    "conformance": "kvbench_core.cli.conformance:conformance",
}
INTERRUPTED = 130


class Commands(click.Group):
    """Imports commands late, and turns a user's mistake into one line and exit code 2."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for name, target in COMMANDS.items() if find_spec(target.partition(":")[0])]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.list_commands(ctx):
            return None
        module, _, attribute = COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        if all(parameter.name != "debug" for parameter in command.params):
            command.params.append(_debug_option())
        return command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KvbenchError as error:
            if ctx.meta.get("debug"):
                raise
            click.echo(f"Error: {printable(' '.join(str(error).split()))}", err=True)
            ctx.exit(2)
        except KeyboardInterrupt:
            click.echo("\nInterrupted.", err=True)
            ctx.exit(INTERRUPTED)


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
    # as soon as anything else runs on the same cores.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
