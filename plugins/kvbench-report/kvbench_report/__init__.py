"""Reports and analyses of runs and of the published tables: hooks only."""

from __future__ import annotations

from kvbench_core.hookspecs import hookimpl
from kvbench_core.specs import CommandSpec


@hookimpl
def kvbench_commands() -> list[CommandSpec]:
    """The analyses."""
    return []
