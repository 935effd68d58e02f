"""The command line: defaults, mistakes, exit codes, and what it does not import."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from kvbench_core.cli import main
from kvbench_core.cli.options import given_options, split_names
from kvbench_core.cli.progress import Bar, Lines
from kvbench_core.cli.run import run

MINE = ("run", "evaluate", "table", "list")


@pytest.fixture(scope="module")
def once(toy_site: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("once") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(toy_site))
        words = ["run", "--backend", "toy", "-m", "COARSE", "--out", str(root), "--no-evaluate"]
        result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    return root


@pytest.fixture
def done(once: Path, tmp_path: Path) -> Path:
    """A run of BF16 and COARSE."""
    return Path(shutil.copytree(once, tmp_path / "run"))


def one_line(result) -> str:
    """The message of a mistake, which is one line on stderr and nothing else."""
    assert result.exit_code == 2
    assert result.stdout == ""
    assert re.fullmatch(r"Error: [^\n]+\n", result.stderr), result.stderr
    return result.stderr


def test_run_compares_scores_and_says_where_the_files_are(cli, tmp_path: Path):
    root = tmp_path / "run"
    result = cli("run", "--backend", "toy", "-m", "COARSE,coarse(step=0.5)", "--out", root,
                 "--metrics", "error,light", "--preview")  # fmt: skip
    assert result.exit_code == 0, result.stderr
    table, _, rest = result.stdout.partition("\n\n")
    assert [line.split()[0] for line in table.splitlines()[2:]] == [
        "BF16", "COARSE", "coarse(step=0.5)",
    ]  # fmt: skip
    assert "mse" in table
    assert f"{root}/videos\n" in rest
    assert f"kvbench table {root}" in rest
    assert len(list((root / "previews").iterdir())) == 3
    assert "[3/3] coarse(step=0.5) on ball: " in result.stderr
    assert (root / "cells.parquet").is_file()


def test_run_as_json_leaves_stdout_to_the_json(cli, tmp_path: Path):
    result = cli("run", "--backend", "toy", "-m", "COARSE", "--out", tmp_path, "--json", "--quiet",
                 "--metrics", "light")  # fmt: skip
    data = json.loads(result.stdout)
    assert [row["method"] for row in data["rows"]] == ["BF16", "COARSE"]
    assert result.stderr == ""


def test_run_takes_a_prompt_file(cli, tmp_path: Path):
    prompts = tmp_path / "mine.txt"
    prompts.write_text("a red ball\na blue cube\n")
    result = cli("run", "--backend", "toy", "-m", "BF16", "--suite", prompts, "--prompts", "p002",
                 "--out", tmp_path / "run", "--no-evaluate", "--json")  # fmt: skip
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["suite"] == "mine"
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert manifest["prompts"] == [{"id": "p002", "index": 1, "text": "a blue cube"}]
    assert manifest["sessions"][0]["given"]["prompts"] == "p002"
    assert "seed" not in manifest["sessions"][0]["given"]


def test_a_failed_cell_makes_the_exit_code_one(cli, tmp_path: Path):
    result = cli("run", "--backend", "toy", "-m", "failing", "--out", tmp_path, "--no-evaluate")
    assert result.exit_code == 1
    assert "failing on ball: ZeroDivisionError: codes ran out" in result.stdout
    assert "FAILED" in result.stderr


def test_without_out_runs_get_a_folder_of_their_own(cli, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli("run", "--backend", "toy", "-m", "BF16", "--no-evaluate").exit_code == 0
    (made,) = (tmp_path / "runs").iterdir()
    assert re.fullmatch(r"\d{8}-\d{6}", made.name)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--backend", "toi"], "no backend is called 'toi'; did you mean toy"),
        (["-m", "COARSE_RECEN"], "did you mean COARSE_RECENT"),
        (["-m", "coarse("], "cannot read 'coarse(' as a method"),
        (["--prompts", "9"], "prompts must be 1 to 3"),
        (["--suite", "toy-suit"], "no suite is called 'toy-suit'; did you mean toy-suite"),
        (["--suite", "none.txt"], "none.txt: cannot be read"),
        (["--frames", "5"], "cannot generate 5 latent frames"),
        (["--metrics", "lite"], "no metric is called 'lite'; did you mean light"),
        (["--metrics", "fidelty"], "no metric is called 'fidelty'; did you mean fidelity"),
        (["-m", "TOI"], "no method is called 'TOI'; did you mean TOY"),
        (["--kernel", "flash"], "attention kernel flash cannot run on cpu"),
        (["--integration", "x"], "no integration is called 'x'"),
        (["--out", __file__], "cannot create"),
        (["--out", str(Path(__file__).parent)], "is not empty and holds no run"),
    ],
)
def test_a_mistake_is_one_line_and_makes_nothing(cli, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    given = ["run", "--quiet", "--device", "cpu", "--backend", "toy", *arguments]
    assert message in one_line(cli(*given))
    assert not list(tmp_path.iterdir())


def test_another_run_in_the_directory_is_refused(cli, done: Path):
    message = one_line(cli("run", "--backend", "toy", "--seed", "3", "--out", done, "--quiet"))
    assert "its seed is 0, not 3; choose another --out" in message


def test_debug_shows_the_traceback(cli, tmp_path: Path):
    result = cli("table", tmp_path, "--debug")
    assert type(result.exception).__name__ == "StoreError"
    assert "is no run directory" in one_line(cli("table", tmp_path))


def test_evaluate_then_table(cli, done: Path):
    result = cli("evaluate", done, "--metrics", "error", "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["rows"][1]["scores"]["mse"] > 0
    assert "[1/1] error of COARSE on ball: ok" in result.stderr
    again = cli("evaluate", done, "--metrics", "toy")  # the family of error and light
    assert "1 of 3 exist already" in again.stderr
    assert "light ↑" in again.stdout


def test_evaluate_says_by_its_exit_code_that_a_metric_failed(cli, done: Path, monkeypatch):
    import toy_methods

    monkeypatch.setattr(toy_methods.Light, "score", lambda *_: 1 / 0)
    result = cli("evaluate", done, "--metrics", "light")
    assert result.exit_code == 1
    assert "metric light: ZeroDivisionError: division by zero" in result.stdout


@pytest.mark.parametrize("style", ["terminal", "markdown", "csv", "json"])
def test_table_writes_each_format(cli, done: Path, tmp_path: Path, style: str):
    printed = cli("table", done, "--format", style)
    assert printed.exit_code == 0
    path = tmp_path / "table.out"
    assert cli("table", done, "--format", style, "-o", path).stdout == ""
    assert path.read_text() == printed.stdout


def test_table_cannot_write_there(cli, done: Path):
    assert "cannot write" in one_line(cli("table", done, "-o", "/nowhere/x.md"))


def test_list_shows_who_provides_what(cli):
    data = json.loads(cli("list", "--json").stdout)
    assert set(data) == {"policies", "parts", "backends", "metrics", "suites", "commands", "failed"}
    assert next(row for row in data["policies"] if row["name"] == "COARSE") == {
        "name": "COARSE", "family": "TOY", "expression": "coarse(step=0.25)", "tags": [],
        "package": "kvbench-toy", "version": "1.0", "summary": "Rounded to 1/4",
    }  # fmt: skip
    text = cli("list", "suites").stdout
    assert "toy-suite" in text
    assert "policies" not in text


def test_list_names_a_broken_plugin_and_shows_the_rest(cli, toy_site, tmp_path, monkeypatch):
    info = tmp_path / "kvbench_broken-0.3.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: kvbench-broken\nVersion: 0.3\n")
    (info / "entry_points.txt").write_text("[kvbench]\nbroken = no_such_module\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    text = cli("list").stdout
    assert "broken (kvbench-broken 0.3): ModuleNotFoundError: No module named" in text
    assert "COARSE" in text
    assert "Traceback" in cli("list", "--verbose").stdout
    failed = json.loads(cli("list", "--json").stdout)["failed"]
    assert "kvbench-broken" in [failure["package"] for failure in failed]


def test_no_backend_means_a_hint_what_to_install(cli, monkeypatch):
    from kvbench_core.plugins import load_plugins
    from kvbench_core.registry import build_registry

    registry = build_registry(load_plugins([]))
    monkeypatch.setattr("kvbench_core.registry.build_registry", lambda: registry)
    assert "pip install kvbench-selfforcing-wan" in one_line(cli("run"))


def test_commas_inside_parentheses_do_not_separate():
    assert split_names(["A, rtn(bits=4, group=16)+recent(2)", "b"]) == [
        "A", "rtn(bits=4, group=16)+recent(2)", "b",
    ]  # fmt: skip
    assert split_names(["a,,b,", "(x"]) == ["a", "b", "(x"]


@pytest.mark.parametrize("command", MINE)
def test_every_option_is_explained(cli, command: str):
    found = main.get_command(None, command)  # type: ignore[arg-type]
    assert found is not None
    assert found.help
    for parameter in found.params:
        assert parameter.param_type_name == "argument" or parameter.help, parameter.name
    assert cli(command, "--help").exit_code == 0


@pytest.mark.parametrize("arguments", ["--help", "list", "run --help", "--version", "table RUN"])
def test_nothing_heavy_is_imported_to_talk(toy_site: Path, once: Path, arguments: str):
    script = (
        "import sys\nfrom kvbench_core.cli import main\n"
        "main(sys.argv[1:], standalone_mode=False)\n"
        "heavy = {'torch', 'numpy', 'av', 'pyarrow'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)\n"
    )
    folder = Path(__file__).parent
    result = subprocess.run(
        [sys.executable, "-c", script, *arguments.replace("RUN", str(once)).split()],
        env={**os.environ, "PYTHONPATH": f"{toy_site}{os.pathsep}{folder}"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr


def test_lines_tell_the_time_that_is_left(capsys):
    lines = Lines()
    lines.plan(3, 1, 4)
    lines.start("A")
    lines.finish("A", "1.0 s")
    lines.start("B")
    text = capsys.readouterr().err
    assert text.startswith("1 of 3 exist already\n[2/3] A\n[2/3] A: 1.0 s\n[3/3] B (about 0 s")


def test_the_bar_moves_with_each_chunk():
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(file=open(os.devnull, "w"))) as progress:  # noqa: PTH123
        bar = Bar(progress=progress)
        bar.plan(2, 1, 4)
        bar.start("A [bold]")
        bar.step(2)
        assert progress.tasks[0].completed == 6
        bar.finish("A [bold]", "1 s")
        assert progress.finished


def test_options_are_recorded_in_the_users_words():
    words = ["--resolution", "640x384", "-m", "A,rtn(bits=4)", "-m", "B", "--seed", "7", "--quiet"]
    ctx = run.make_context("run", words)
    assert given_options(ctx) == {
        "resolution": "640x384",
        "methods": "A,rtn(bits=4),B",
        "seed": "7",
        "quiet": "True",
    }


@pytest.mark.parametrize(("policy", "spins"), [(None, "1000"), ("ACTIVE", None)])
def test_threads_wait_as_the_user_says_or_quietly(policy, spins):
    program = (
        "import os; from kvbench_core.cli import main;"
        "main(['list'], standalone_mode=False);"
        "print(os.environ['OMP_WAIT_POLICY'], os.environ.get('GOMP_SPINCOUNT'))"
    )
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("OMP_", "GOMP_"))}
    environment = inherited | ({} if policy is None else {"OMP_WAIT_POLICY": policy})
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == f"{policy or 'PASSIVE'} {spins}"
