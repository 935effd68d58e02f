"""Real processes: killed, interrupted, and two at a time on one directory."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

REQUEST = "run --backend toy-slow -m TOY --prompts 2 --metrics error,light"
ASKED = (*REQUEST.split(), "--out")
TIMED = ("runtime_s", "runtime_ratio", "encode_s", "decode_s", "video_s", "peak_bytes")


def wait_for(condition: Any, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)


def cells(root: Path) -> list[Path]:
    return sorted((root / "cells").glob("[!.]*.json"))


def untimed(stdout: str) -> dict[str, Any]:
    table = json.loads(stdout)
    for row in table["rows"]:
        for name in (*TIMED, "peak_phase"):
            del row[name]
    return table


@pytest.fixture(scope="module")
def whole(toy_site: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The table of a run that nothing disturbed."""
    root = tmp_path_factory.mktemp("whole") / "run"
    result = subprocess.run(
        [sys.executable, "-m", "kvbench_core.cli", *ASKED, root, "--json"],
        env={**os.environ, "PYTHONPATH": f"{toy_site}{os.pathsep}{Path(__file__).parent}"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return untimed(result.stdout)


def test_a_killed_run_resumes_to_the_same_table(start, tmp_path: Path, whole: dict[str, Any]):
    root = tmp_path / "run"
    first = start(*ASKED, root)
    wait_for(lambda: len(cells(root)) >= 2, first)
    first.kill()
    first.communicate()
    kept = {path: path.read_bytes() for path in cells(root)}
    assert 2 <= len(kept) < 6
    manifest = json.loads((root / "manifest.json").read_text())
    assert manifest["status"] == "running"

    second = start(*ASKED, root, "--json")
    out, err = second.communicate()
    assert second.returncode == 0, err
    assert untimed(out) == whole
    assert all(path.read_bytes() == content for path, content in kept.items())
    manifest = json.loads((root / "manifest.json").read_text())
    assert [session["status"] for session in manifest["sessions"]] == ["running", "complete"]
    assert not [path for path in root.rglob("*") if ".partial" in path.name]


def test_two_processes_share_the_work(start, tmp_path: Path, whole: dict[str, Any]):
    root = tmp_path / "run"
    both = [start(*ASKED, root, "--json") for _ in range(2)]
    results = [process.communicate() for process in both]
    assert [process.returncode for process in both] == [0, 0], results
    for out, _ in results:
        assert untimed(out) == whole
    made = [json.loads(path.read_text())["session"] for path in cells(root)]
    assert len(made) == 6
    assert len(set(made)) == 2
    assert json.loads((root / "manifest.json").read_text())["status"] == "complete"


def test_ctrl_c_exits_with_130_and_resumes(start, tmp_path: Path, whole: dict[str, Any]):
    root = tmp_path / "run"
    process = start(*ASKED, root)
    wait_for(lambda: len(cells(root)) >= 1, process)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    assert process.returncode == 130
    assert err.endswith("Interrupted.\n")
    assert "Traceback" not in err
    assert json.loads((root / "manifest.json").read_text())["status"] == "interrupted"
    again = start(*ASKED, root, "--json")
    out, err = again.communicate()
    assert again.returncode == 0, err
    assert untimed(out) == whole
