"""Makes the toy plugin installed: a distribution on the path, with a real entry point."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def toy_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for the path in which the toy plugin is an installed distribution."""
    site = tmp_path_factory.mktemp("site")
    info = site / "kvbench_toy-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: kvbench-toy\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[kvbench]\ntoy = toy_plugin\n")
    return site


@pytest.fixture
def toy(toy_site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Install the toy plugin in this process."""
    for folder in (toy_site, HERE):
        monkeypatch.syspath_prepend(str(folder))


Kvbench = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def kvbench(toy_site: Path) -> Kvbench:
    """Start ``kvbench`` as a process of its own, with the toy plugin installed."""

    def start(*arguments: str | Path) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "kvbench_core.cli", *map(str, arguments)],
            env={**os.environ, "PYTHONPATH": f"{toy_site}{os.pathsep}{HERE}"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start
