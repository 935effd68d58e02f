"""KIVI, asymmetric KV caches: hooks only."""

from __future__ import annotations

from kvbench_core.hookspecs import hookimpl
from kvbench_core.specs import PartSpec, PolicySpec

PRESETS = {
    "KIVI_INT2": ("kivi(bits=2)", "K per channel and V per token on 4 levels"),
    "KIVI_INT4": ("kivi(bits=4)", "K per channel and V per token on 16 levels"),
    "KIVI_K2_V4": ("kivi(key_bits=2, value_bits=4)", "K on 4 levels, V on 16"),
    "KIVI_INT4_REFRESH": ("kivi(bits=4)+refresh()", "KIVI_INT4, coded on the clean pass only"),
}


@hookimpl
def kvbench_parts() -> list[PartSpec]:
    """The codec."""
    return [
        PartSpec(
            name="kivi",
            kind="codec",
            summary="Asymmetric rounding, keys per channel and values per token",
            target="kvbench_kivi.codec:Kivi",
        )
    ]


@hookimpl
def kvbench_policies() -> list[PolicySpec]:
    """The four methods of the published study."""
    return [
        PolicySpec(name=name, family="KIVI", summary=what, expression=parts, tags=("study",))
        for name, (parts, what) in PRESETS.items()
    ]
