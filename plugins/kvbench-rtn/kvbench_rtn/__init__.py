"""Round-to-nearest (RTN) KV caches: hooks only."""

from __future__ import annotations

from kvbench_core.hookspecs import hookimpl
from kvbench_core.specs import PartSpec, PolicySpec

PRESETS = {
    "RTN_INT2": ("rtn(bits=2)", "K and V rounded to 3 levels"),
    "RTN_INT4": ("rtn(bits=4)", "K and V rounded to 15 levels"),
    "RTN_K2_V4": ("rtn(key_bits=2, value_bits=4)", "K on 3 levels, V on 15"),
    "RTN_INT4_RECENT2": ("rtn(bits=4)+recent(blocks=2)", "RTN_INT4, two newest chunks in bf16"),
    "RTN_INT4_REFRESH": ("rtn(bits=4)+refresh()", "RTN_INT4, coded on the clean pass only"),
}


@hookimpl
def kvbench_parts() -> list[PartSpec]:
    """The codec."""
    return [
        PartSpec(
            name="rtn",
            kind="codec",
            summary="Symmetric rounding, one scale per channel and group of tokens",
            target="kvbench_rtn.codec:Rtn",
        )
    ]


@hookimpl
def kvbench_policies() -> list[PolicySpec]:
    """The five methods of the published study."""
    return [
        PolicySpec(name=name, family="RTN", summary=what, expression=parts, tags=("study",))
        for name, (parts, what) in PRESETS.items()
    ]
