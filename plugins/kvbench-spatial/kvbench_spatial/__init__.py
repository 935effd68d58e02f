"""Foreground and background kept by different codecs: hooks only."""

from __future__ import annotations

from kvbench_core.hookspecs import hookimpl
from kvbench_core.specs import PartSpec, PolicySpec

_HYBRID = "policy='hybrid', min_share=0.45, max_share=0.85, target_share=0.65, threshold=0.02"
_TOP_K = "policy='top-k', min_share=0.6, max_share=0.9, target_share=0.8, threshold=0.02"
PRESETS = {
    "FG_RTN_INT4_BG_RTN_INT2": ("rtn(bits=2)", "rtn(bits=4)", _HYBRID),
    "FG_RTN_INT4_BG_RTN_INT4": ("rtn(bits=4)", "rtn(bits=4)", _HYBRID),
    "FG_KIVI_INT4_BG_KIVI_INT2": ("kivi(bits=2)", "kivi(bits=4)", _TOP_K),
    "FG_QUAROT_KV_INT4_BG_RTN_INT2": ("rtn(bits=2)", "quarot(inner=rtn(bits=4))", _TOP_K),
}


@hookimpl
def kvbench_parts() -> list[PartSpec]:
    """The tiering."""
    return [
        PartSpec(
            name="spatial",
            kind="tiering",
            summary="Positions that change most between frames by a codec of their own",
            target="kvbench_spatial.tiering:Spatial",
        )
    ]


@hookimpl
def kvbench_policies() -> list[PolicySpec]:
    """The four methods of the published study."""
    return [
        PolicySpec(
            name=f"SPATIAL_MIXED_{name}",
            family="SPATIAL_MIXED",
            summary=f"Moving positions by {foreground}, the others by {background}",
            expression=f"{background}+spatial(foreground={foreground}, {mask})",
            tags=("study",),
        )
        for name, (background, foreground, mask) in PRESETS.items()
    ]
