"""What this package brings to kvbench."""

from __future__ import annotations

from kvbench_core.hookspecs import hookimpl
from kvbench_core.specs import PartSpec, PolicySpec


@hookimpl
def kvbench_parts() -> list[PartSpec]:
    """One codec."""
    return [
        PartSpec(
            name="nibble",
            kind="codec",
            summary="4-bit codes, one scale per token and run of channels",
            target="kvbench_nibble.codec:nibble",
        )
    ]


@hookimpl
def kvbench_policies() -> list[PolicySpec]:
    """The codec alone, and with the parts that come with the core."""
    return [
        PolicySpec(
            name="NIBBLE",
            family="NIBBLE",
            summary="4-bit codes per token",
            expression="nibble()",
        ),
        PolicySpec(
            name="NIBBLE_RECENT2",
            family="NIBBLE",
            summary="NIBBLE, two newest chunks in bf16",
            expression="nibble()+recent(blocks=2)+refresh()",
        ),
    ]
