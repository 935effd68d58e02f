"""Every check of this repository: `nox -l` lists them, bare `nox` runs the tests."""

from __future__ import annotations

import shutil
from pathlib import Path

import nox

nox.options.default_venv_backend = "uv"
nox.options.sessions = ["tests"]
nox.options.reuse_existing_virtualenvs = True

ROOT = Path(__file__).parent
MEMBERS = sorted(
    path.parent
    for folder in ("backends", "plugins")
    for path in (ROOT / folder).glob("*/pyproject.toml")
)
ONE_THREAD = {"OMP_NUM_THREADS": "1"}  # two test workers on two cores


def sync(session: nox.Session, *groups: str) -> None:
    """Install the whole workspace, editable, with dependency groups of the root."""
    session.run_install(
        "uv",
        "sync",
        "--quiet",
        "--all-packages",
        *(f"--group={group}" for group in groups),
        f"--python={session.virtualenv.location}",
        env={"UV_PROJECT_ENVIRONMENT": session.virtualenv.location},
    )


@nox.session
def tests(session: nox.Session) -> None:
    """The test suites of the core and of every member (under 10 minutes on 2 cores)."""
    sync(session, "test")
    args = session.posargs or [
        "-m",
        "not slow and not gpu and not browser",
        "-n",
        "2",
        "--dist",
        "worksteal",
    ]
    session.run("pytest", *args, env=ONE_THREAD)


@nox.session
def slow(session: nox.Session) -> None:
    """Tests that take more than a minute each."""
    sync(session, "test")
    session.run("pytest", "-m", "slow", *session.posargs)


@nox.session
def gpu(session: nox.Session) -> None:
    """Tests that need a CUDA device."""
    sync(session, "test")
    session.run("pytest", "-m", "gpu", *session.posargs)


@nox.session
def browser(session: nox.Session) -> None:
    """Tests in a headless Chromium, which has to be installed (on Debian: the package chromium)."""
    sync(session, "test", "browser")
    session.run("pytest", "-m", "browser", *session.posargs)


@nox.session
def conformance(session: nox.Session) -> None:
    """The shipped conformance suite on everything that the workspace provides."""
    sync(session, "test")
    session.run("kvbench", "conformance", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Formatting and ruff's rules."""
    session.run_install("uv", "pip", "install", "--quiet", *group("lint"))
    session.run("ruff", "format", "--check", ".")
    session.run("ruff", "check", ".")


@nox.session
def typecheck(session: nox.Session) -> None:
    """mypy, strict, on the core and on every member's package."""
    sync(session, "test", "typecheck")
    session.run("mypy")


@nox.session
def isolation(session: nox.Session) -> None:
    """Each wheel in a fresh environment with nothing but the core and what it depends on."""
    session.run_install("uv", "pip", "install", "--quiet", "uv")
    wheels = Path(session.create_tmp()).resolve() / "wheels"
    shutil.rmtree(wheels, ignore_errors=True)
    session.run("uv", "build", "--quiet", "--all-packages", "--wheel", f"--out-dir={wheels}")
    for name in ["kvbench-core", *(member.name for member in MEMBERS)]:
        distribution = nox.project.load_toml(find(name) / "pyproject.toml")["project"]["name"]
        in_isolation(session, distribution, wheels)


def find(name: str) -> Path:
    """The folder of a member, or the root for the core."""
    return next((member for member in MEMBERS if member.name == name), ROOT)


def in_isolation(session: nox.Session, distribution: str, wheels: Path) -> None:
    """Install one distribution from its wheel and run its conformance there."""
    environment = wheels.parent / "fresh"
    shutil.rmtree(environment, ignore_errors=True)
    python = environment / "bin" / "python"
    session.run("uv", "venv", "--quiet", str(environment))
    session.run(
        *("uv", "pip", "install", "--quiet", f"--python={python}"),
        *(f"--find-links={wheels}", f"--constraint={constraints(wheels)}"),
        *(distribution, "pytest>=8.2"),
    )
    # From an empty folder, so that nothing is imported from the source tree.
    with session.chdir(session.create_tmp()):
        kvbench = str(environment / "bin" / "kvbench")
        session.run(kvbench, "list", external=True)
        session.run(kvbench, "conformance", external=True, env=ONE_THREAD)


def constraints(wheels: Path) -> Path:
    """The workspace's tested pins as a constraints file."""
    pins = nox.project.load_toml(ROOT / "pyproject.toml")["tool"]["uv"]["constraint-dependencies"]
    path = wheels.parent / "constraints.txt"
    path.write_text("\n".join(pins) + "\n", encoding="utf-8")
    return path


def group(name: str) -> list[str]:
    """A dependency group of the root project."""
    return nox.project.dependency_groups(nox.project.load_toml(ROOT / "pyproject.toml"), name)
