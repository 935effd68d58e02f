"""Self-forcing Wan2.1 generators: ``tiny``, trained and built in, and ``wan-1.3b``."""

from __future__ import annotations

from kvbench_core.hookspecs import hookimpl
from kvbench_core.specs import BackendSpec, SuiteSpec


@hookimpl
def kvbench_backends() -> list[BackendSpec]:
    """One architecture in two sizes."""
    return [
        BackendSpec(
            name="tiny",
            family="selfforcing-wan",
            summary="Small trained self-forcing model of moving shapes; runs on a CPU",
            target="kvbench_selfforcing_wan.backend:tiny",
        ),
        BackendSpec(
            name="wan-1.3b",
            family="selfforcing-wan",
            summary="Self-Forcing on Wan2.1-T2V-1.3B, 480x832 (planning only in this version)",
            target="kvbench_selfforcing_wan.backend:wan_1_3b",
        ),
    ]


@hookimpl
def kvbench_suites() -> list[SuiteSpec]:
    """Prompts that the small model was not trained on."""
    return [
        SuiteSpec(
            name="tiny",
            family="selfforcing-wan",
            summary="Held-out single-shot prompts for the small model",
            target="kvbench_selfforcing_wan.tiny.suites:single_shot",
        ),
        SuiteSpec(
            name="tiny-story",
            family="selfforcing-wan",
            summary="Held-out prompts in which something happens, for the small model",
            target="kvbench_selfforcing_wan.tiny.suites:story",
        ),
    ]
