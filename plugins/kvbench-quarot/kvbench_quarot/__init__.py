"""QuaRot, KV caches rotated before they are coded: hooks only."""

from __future__ import annotations

from kvbench_core.hookspecs import hookimpl
from kvbench_core.specs import PartSpec, PolicySpec

PRESETS = {
    "QUAROT_KV_INT2": ("quarot(inner=rtn(bits=2))", "RTN_INT2 behind a rotation of each head"),
    "QUAROT_KV_INT4": ("quarot(inner=rtn(bits=4))", "RTN_INT4 behind a rotation of each head"),
    "QUAROT_KV_INT4_RECENT2": (
        "quarot(inner=rtn(bits=4))+recent(blocks=2)",
        "QUAROT_KV_INT4, two newest chunks in bf16",
    ),
    "QUAROT_KV_INT4_REFRESH": (
        "quarot(inner=rtn(bits=4))+refresh()",
        "QUAROT_KV_INT4, coded on the clean pass only",
    ),
}


@hookimpl
def kvbench_parts() -> list[PartSpec]:
    """The rotation."""
    return [
        PartSpec(
            name="quarot",
            kind="codec",
            summary="Walsh-Hadamard rotation of each head in front of another codec",
            target="kvbench_quarot.codec:Quarot",
        )
    ]


@hookimpl
def kvbench_policies() -> list[PolicySpec]:
    """The four methods of the published study."""
    return [
        PolicySpec(name=name, family="QUAROT", summary=what, expression=parts, tags=("study",))
        for name, (parts, what) in PRESETS.items()
    ]
