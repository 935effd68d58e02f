"""The dashboard: hooks only."""

from __future__ import annotations

from kvbench_core.hookspecs import hookimpl
from kvbench_core.specs import CommandSpec


@hookimpl
def kvbench_commands() -> list[CommandSpec]:
    """``kvbench dashboard``."""
    return [
        CommandSpec(
            name="dashboard",
            summary="Look at runs in the browser, with a synchronised video player",
            target="kvbench_dashboard.command:dashboard",
        )
    ]
