"""``kvbench dashboard``: mistakes are one sentence."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from synthetic_runs import write_run

from kvbench_core.cli import main
from kvbench_dashboard.listener import PortError, listen
from kvbench_dashboard.opened import VARIABLE
from kvbench_dashboard.text import plain


@pytest.fixture(autouse=True)
def _keep_the_environment(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(VARIABLE, "[]")


def test_a_folder_without_a_run_is_said(tmp_path: Path):
    result = CliRunner().invoke(main, ["dashboard", str(tmp_path)])
    assert result.exit_code == 2
    assert "is no run directory: it has no manifest.json" in result.stderr


def test_a_taken_port_is_said(tmp_path: Path):
    root = write_run(tmp_path / "mine", ["BF16"], 1, videos=False).root
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = CliRunner().invoke(main, ["dashboard", str(root), "--port", str(port)])
    assert result.exit_code == 2
    assert f"cannot serve at port {port}" in result.stderr
    assert "choose another --port" in result.stderr


def test_the_next_free_port_is_taken():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortError):
            listen([port])
        with listen([port, 0]) as listener:
            assert listener.getsockname()[1] != port


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("RTN_INT4", "RTN\\_INT4"),
        ("<b>", "\\<b\\>"),
        ("a\nb", "a b"),
        (":red[x] $y$", "\\:red\\[x\\] \\$y\\$"),
        ("http://a", "http\\:\u2060\\/\\/a"),
    ],
)
def test_plain_text_has_no_markdown(text: str, shown: str):
    assert plain(text) == shown


PAGE = ("view", "points", "recommendation")


@pytest.mark.parametrize(
    ("modules", "late"),
    [
        (("server", "headline"), {"torch", "altair", "av", "PIL", "pandas", "pyarrow", "numpy"}),
        (("server", "headline", *PAGE), {"torch", "altair", "matplotlib", "av", "PIL"}),
    ],
)
def test_what_is_needed_later_is_imported_later(modules: tuple[str, ...], late: set[str]):
    code = "import sys; " + "; ".join(f"import kvbench_dashboard.{name}" for name in modules)
    code += f"; print({late} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "set()"
