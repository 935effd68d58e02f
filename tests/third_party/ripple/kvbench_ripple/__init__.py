"""What this package brings to kvbench."""

from __future__ import annotations

from kvbench_core.hookspecs import hookimpl
from kvbench_core.specs import BackendSpec, SuiteSpec


@hookimpl
def kvbench_backends() -> list[BackendSpec]:
    """One generator."""
    return [
        BackendSpec(
            name="ripple",
            family="ripple",
            summary="Two layers with random weights: patterns, not pictures",
            target="kvbench_ripple.backend:Ripple",
        )
    ]


@hookimpl
def kvbench_suites() -> list[SuiteSpec]:
    """Prompts for it."""
    return [
        SuiteSpec(
            name="ripple",
            family="ripple",
            summary="Three prompts",
            target="kvbench_ripple.backend:prompts",
        )
    ]
