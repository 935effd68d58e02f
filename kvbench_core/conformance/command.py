"""The command clauses (``docs/contract.md``, C1 to C3)."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import ClassVar

import click
import pytest
from click.testing import CliRunner

from kvbench_core.conformance.base import Conformance
from kvbench_core.registry import build_registry
from kvbench_core.specs import CommandSpec

HEAVY = ("torch", "pandas", "matplotlib", "streamlit")
HELP = f"""
import sys
from kvbench_core.cli import main
main([*sys.argv[1:], "--help"], standalone_mode=False)
sys.exit(" and ".join(name for name in {HEAVY!r} if name in sys.modules) or 0)
"""


class CommandConformance(Conformance):
    """What a command of ``kvbench`` promises. Override ``command`` with one that has no name."""

    overridable: ClassVar[frozenset[str]] = frozenset({"command"})

    @pytest.fixture
    def command(self, kvbench_command: str) -> click.Command:
        """The command under test."""
        target = build_registry().find(CommandSpec, kvbench_command).load()
        assert isinstance(target, click.Command), (
            f"C1: a command's target is a click command; got {target!r}"
        )
        return target

    def test_c1_a_command_explains_itself(self, command: click.Command) -> None:
        for path, each in _tree(command):
            assert each.help, f"C1: {path} has a help text"
            for parameter in each.params:
                explained = not isinstance(parameter, click.Option) or parameter.help
                assert explained, f"C1: {path} explains its option {parameter.opts[0]}"

    def test_c2_help_needs_nothing_heavy(self, kvbench_command: str | None) -> None:
        if kvbench_command is None:
            pytest.skip("the command has no registered name")
        done = subprocess.run(  # noqa: S603 - this interpreter, and a registered name
            [sys.executable, "-c", HELP, kvbench_command],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, (
            f"C2: `kvbench {kvbench_command} --help` answers without importing "
            f"{', '.join(HEAVY[:-1])} or {HEAVY[-1]}; got {' '.join(done.stderr.split())[-200:]}"
        )

    def test_c3_a_mistake_is_said_without_a_traceback(self, command: click.Command) -> None:
        for path, each in _tree(command):
            done = CliRunner().invoke(each, ["--no-such-option"])
            assert done.exit_code == 2, (
                f"C3: {path} ends with exit code 2 on a user's mistake; got {done.exit_code}"
            )
            assert "Traceback" not in done.output, f"C3: {path} shows no traceback"


def _tree(command: click.Command, path: str = "kvbench") -> Iterator[tuple[str, click.Command]]:
    """A command and its subcommands, with how they are called."""
    path = f"{path} {command.name}"
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command, info_name=command.name)
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None, f"C1: {path} has the subcommand {name} that it lists"
            yield from _tree(child, path)
