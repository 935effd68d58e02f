"""pytest options and names for the conformance suite; registered as plugin ``kvbench``.

pytest imports this module whenever it starts, in any project: nothing heavy is imported here.
"""

from __future__ import annotations

from typing import Any, Final

import pytest

KINDS: Final = ("policy", "backend", "metric", "suite", "command")
NOTHING: Final = "nothing of this kind was asked for"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--kvbench-policy NAME`` and its siblings."""
    group = parser.getgroup("kvbench", "kvbench conformance")
    for kind in KINDS:
        group.addoption(
            f"--kvbench-{kind}",
            action="append",
            default=[],
            metavar="NAME",
            help=f"check this {kind} only (repeatable; default: everything installed)",
        )
    group.addoption(
        "--kvbench-device",
        default="cpu",
        metavar="DEVICE",
        help="where backends run (default: cpu)",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each clause once per name."""
    for kind in KINDS:
        fixture = f"kvbench_{kind}"
        if fixture in metafunc.fixturenames:
            names = _names(metafunc, kind)
            metafunc.parametrize(fixture, names or [NOTHING], ids=str, scope="class")


def _names(metafunc: pytest.Metafunc, kind: str) -> list[Any]:
    from kvbench_core.conformance.selection import overrides_subject, registered

    if overrides_subject(metafunc.cls, kind):
        return [None]
    package: str | None = getattr(metafunc.cls, "package", None)
    if package is not None:
        return registered(kind, package)
    asked = {kind: metafunc.config.getoption(f"kvbench_{kind}") for kind in KINDS}
    return asked[kind] if any(asked.values()) else registered(kind)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out clauses that have no subject."""
    idle = [item for item in items if _has_no_subject(item)]
    if idle:
        config.hook.pytest_deselected(items=idle)
        items[:] = [item for item in items if item not in idle]


def _has_no_subject(item: pytest.Item) -> bool:
    callspec = getattr(item, "callspec", None)
    return callspec is not None and any(
        callspec.params.get(f"kvbench_{kind}") == NOTHING for kind in KINDS
    )
