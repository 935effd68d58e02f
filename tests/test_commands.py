"""Commands that plugins bring: found, listed without being imported, and isolated when broken."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from kvbench_core.cli import ELSEWHERE, main
from kvbench_core.conformance.command import CommandConformance

PLUGIN = """
from kvbench_core.hookspecs import hookimpl
from kvbench_core.specs import CommandSpec

@hookimpl
def kvbench_commands():
    return [CommandSpec(name=name, summary="What " + name + " does", target=target)
            for name, target in {commands!r}.items()]
"""
GREET = """
import click
from kvbench_core.errors import KvbenchError
print("imported")

@click.command()
@click.argument("name")
def greet(name):
    "Say hello."
    if name == "nobody":
        raise KvbenchError("nobody is there; name somebody")
    click.echo("hello " + name)

number = 3
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Install a plugin with the given commands; returns a way to call ``kvbench``."""

    def install(commands: dict[str, str], package: str = "kvbench-greetings"):
        module = package.replace("-", "_")
        info = tmp_path / f"{module}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[kvbench]\n{module} = {module}_plugin\n")
        (tmp_path / f"{module}_plugin.py").write_text(PLUGIN.format(commands=commands))
        (tmp_path / "greetings.py").write_text(GREET)
        monkeypatch.syspath_prepend(str(tmp_path))
        return lambda *words: CliRunner().invoke(main, words)

    yield install
    import sys

    for name in [name for name in sys.modules if name == "greetings" or name.endswith("_plugin")]:
        del sys.modules[name]


def said(result: Result) -> str:
    assert (result.exit_code, result.stdout) == (2, ""), result.output
    assert result.stderr.count("\n") == 1
    return result.stderr


def test_a_plugins_command_is_listed_and_only_imported_when_used(installed):
    kvbench = installed({"greet": "greetings:greet"})
    text = kvbench("--help").stdout
    assert "greet        What greet does\n" in text
    assert "imported" not in text
    assert kvbench("greet", "Ann").stdout == "imported\nhello Ann\n"
    assert "nobody is there; name somebody" in kvbench("greet", "nobody").stderr
    assert "--debug" in kvbench("greet", "--help").stdout


def test_list_names_the_package_of_a_command(installed):
    listed = json.loads(installed({"greet": "greetings:greet"})("list", "--json").stdout)
    packages = {row["name"]: row["package"] for row in listed["commands"]}
    assert packages["greet"] == "kvbench-greetings"
    assert packages["run"] == "kvbench-core"


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("greetings:absent", "AttributeError"),
        ("no_such_module:x", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("greetings:number", "greetings:number is no click command"),
    ],
)
def test_a_broken_command_is_named_and_the_others_work(installed, target, reason):
    kvbench = installed({"greet": "greetings:greet", "broken": target})
    result = kvbench("broken")
    message = f"the command 'broken' of kvbench-greetings 1.0 cannot be used: {reason}"
    assert message in result.stderr
    assert result.exit_code == 2
    assert "hello Ann" in kvbench("greet", "Ann").stdout
    assert "What broken does" in kvbench("--help").stdout


def test_a_name_that_the_core_has_is_refused(installed):
    kvbench = installed({"greet": "greetings:greet", "run": "greetings:greet"})
    assert "command run is already provided by kvbench-core" in kvbench("list").stdout
    assert "Generate videos" in kvbench("run", "--help").stdout
    error, note = kvbench("greet").stderr.splitlines()
    assert "no command is called 'greet'" in error
    assert note.endswith("could not be loaded: command run is already provided by kvbench-core")


@pytest.mark.parametrize("name", ["rum", "tabel"])
def test_an_unknown_command_offers_the_nearest(installed, name):
    message = said(installed({})(name))
    assert f"no command is called '{name}'; did you mean " in message


def test_an_unknown_command_without_a_neighbour(installed):
    assert "see `kvbench --help`" in said(installed({})("xyzzy"))


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch):
    """Call ``kvbench`` with the core alone."""
    monkeypatch.setattr("kvbench_core.plugins.entry_points", lambda group: [])
    return lambda *words: CliRunner().invoke(main, words)


@pytest.mark.parametrize(("name", "package"), ELSEWHERE.items())
def test_a_command_of_another_package_is_known(bare, name, package):
    assert f"`kvbench {name}` comes with {package}: pip install {package}" in said(bare(name))


def test_a_command_of_a_package_that_was_skipped_says_why(installed, monkeypatch):
    monkeypatch.setenv("KVBENCH_BLOCK_PLUGINS", "kvbench_report,report")
    kvbench = installed({"report": "greetings:greet"}, package="kvbench-report")
    message = said(kvbench("report", "x"))
    assert "`kvbench report` comes with kvbench-report, which was skipped: blocked by" in message


# Conformance, on commands that break each clause.


def unexplained() -> click.Command:
    return click.Command("mute", help="x", params=[click.Option(["--loud"])])


class Careless(click.Command):
    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return []


def nested() -> click.Command:
    return click.Group("outer", help="x", commands=[click.Command("inner")])


@pytest.mark.parametrize("command", [click.Command("mute"), unexplained(), nested()])
def test_c1_is_caught(command):
    with pytest.raises(AssertionError, match=r"^C1: "):
        CommandConformance().test_c1_a_command_explains_itself(command)


def test_c2_is_caught(tmp_path, monkeypatch, toy_site):
    (tmp_path / "heavy.py").write_text("import torch, click\nheavy = click.Command('heavy')\n")
    info = tmp_path / "kvbench_heavy-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: kvbench-heavy\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[kvbench]\nheavy = heavy_plugin\n")
    (tmp_path / "heavy_plugin.py").write_text(PLUGIN.format(commands={"heavy": "heavy:heavy"}))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(AssertionError, match=r"^C2: .*got torch"):
        CommandConformance().test_c2_help_needs_nothing_heavy("heavy")
    CommandConformance().test_c2_help_needs_nothing_heavy("run")


def test_c3_is_caught():
    with pytest.raises(AssertionError, match=r"^C3: "):
        CommandConformance().test_c3_a_mistake_is_said_without_a_traceback(Careless("x", help="x"))


def test_an_unknown_name_may_be_that_of_a_plugin_which_is_broken(installed, tmp_path):
    kvbench = installed({"greet": "greetings:greet"})
    (tmp_path / "kvbench_greetings_plugin.py").write_text("import no_such_thing")
    result = kvbench("budget", "GREETING")
    assert result.exit_code == 2
    assert "Error: no method is called 'GREETING'" in result.stderr
    assert (
        "Note: kvbench-greetings 1.0 could not be loaded: ModuleNotFoundError: "
        "No module named 'no_such_thing'\n"
    ) in result.stderr
