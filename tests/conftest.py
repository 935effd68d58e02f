"""Makes the toy plugin installed: a distribution on the path, with a real entry point."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from kvbench_core.plugins import BLOCK_VARIABLE

HERE = Path(__file__).parent
collect_ignore = ["third_party"]  # a package of its own, tested as one
sys.path.insert(0, str(HERE))  # for toy_*.py, which is no package
os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch; toy tensors gain nothing by threads


@pytest.fixture(scope="session")
def toy_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for the path in which the toy plugin is an installed distribution."""
    site = tmp_path_factory.mktemp("site")
    info = site / "kvbench_toy-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: kvbench-toy\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[kvbench]\ntoy = toy_plugin\n")
    return site


@pytest.fixture(scope="module", autouse=True)
def light_metrics() -> Iterator[None]:
    """Only the metrics that cost little, whatever else the workspace has."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(BLOCK_VARIABLE, "lpips,perceptual,quality,vbench")
        yield


@pytest.fixture
def toy(toy_site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Install the toy plugin in this process."""
    monkeypatch.syspath_prepend(str(toy_site))


Cli = Callable[..., Result]


@pytest.fixture
def cli(toy: None) -> Cli:
    """Call ``kvbench`` in this process, with the toy plugin installed."""
    from kvbench_core.cli import main

    return lambda *arguments: CliRunner().invoke(main, [str(word) for word in arguments])


Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(toy_site: Path) -> Iterator[Start]:
    """Start ``kvbench`` as a process of its own, with the toy plugin installed."""
    processes: list[subprocess.Popen[str]] = []
    path = [os.environ.get("PYTHONPATH", ""), str(toy_site), str(HERE)]

    def start(*arguments: str | Path) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "kvbench_core.cli", *map(str, arguments)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, path))},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # Whoever starts the tests in the background may have them ignore Ctrl-C.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()
