"""Where a figure was made: versions, machine, source revision."""

from __future__ import annotations

import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from kvbench_core.registry import Registry
from kvbench_core.run.records import Environment, GitState

LIBRARIES = ("kvbench-core", "numpy", "av", "triton", "xformers")


def environment(registry: Registry, device: str) -> Environment:
    """The environment of this process, for figures made on ``device``."""
    plugins = {entry.plugin.package: entry.plugin.version for entry in registry.entries.values()}
    libraries = {name: found for name in LIBRARIES if (found := _version(name))}
    return Environment(
        python=platform.python_version(),
        platform=platform.platform(),
        device=device,
        threads=torch.get_num_threads(),
        packages=dict(sorted((plugins | libraries | {"torch": str(torch.__version__)}).items())),
        git=git_state(),
    )


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


@cache
def git_state() -> GitState | None:
    """The checkout that the core runs from, or ``None`` where it was installed as a package."""
    here = Path(__file__).parent
    if _git(here, "ls-files", "--error-unmatch", Path(__file__).name) is None:
        return None  # the nearest repository, if there is one, holds an environment, not us
    commit = _git(here, "rev-parse", "HEAD")
    changes = _git(here, "status", "--porcelain", "--untracked-files=no")
    return None if commit is None else GitState(commit=commit, dirty=bool(changes))


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        return subprocess.run(  # noqa: S603 - fixed arguments
            ["git", *arguments],  # noqa: S607 - whichever git the user has
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
