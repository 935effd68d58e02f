"""What the core itself registers, through the same door as everyone else."""

from __future__ import annotations

from kvbench_core.hookspecs import hookimpl
from kvbench_core.specs import PartSpec, PolicySpec


@hookimpl
def kvbench_parts() -> list[PartSpec]:
    """Parts without mathematics of their own."""
    return [
        PartSpec(
            name="bf16",
            kind="codec",
            summary="Keep K and V as they are",
            target="kvbench_core.parts:bf16",
        ),
        PartSpec(
            name="recent",
            kind="tiering",
            summary="Newest chunks in bf16, older ones coded",
            target="kvbench_core.parts:Recent",
        ),
        PartSpec(
            name="refresh",
            kind="cadence",
            summary="Encode on the clean pass only",
            target="kvbench_core.parts:refresh",
        ),
    ]


@hookimpl
def kvbench_policies() -> list[PolicySpec]:
    """The reference."""
    return [
        PolicySpec(
            name="BF16",
            family="BF16",
            summary="Uncompressed reference",
            expression="bf16()",
            tags=("study",),
        )
    ]
