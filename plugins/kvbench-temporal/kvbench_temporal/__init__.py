"""Recency tiers: hooks only."""

from __future__ import annotations

from kvbench_core.hookspecs import hookimpl
from kvbench_core.specs import PartSpec, PolicySpec

PRESETS = {
    "AGE_TIER_INT2": (
        "AGE_TIER",
        "rtn(bits=2)+age(share=0.3, newest=rtn(bits=4))",
        "Newest 30 % on 15 levels, older tokens on 3",
    ),
    "AGE_TIER_INT4": (
        "AGE_TIER",
        "rtn(bits=4)+age(share=0.3, newest=rtn(bits=4))",
        "Newest 30 % and older tokens on 15 levels, coded apart",
    ),
    "TPTQ_INT2": (
        "TPTQ",
        "key_outliers(inner=prq(bits=2, residual_bits=2), threshold=6.0, max_share=0.001)"
        "+age(share=0.15, newest=rtn(bits=4))",
        "Newest 15 % on 15 levels, older tokens in two stages of 3, outlying keys apart",
    ),
}


@hookimpl
def kvbench_parts() -> list[PartSpec]:
    """The tiering, and a codec for keys with outliers."""
    return [
        PartSpec(
            name="key_outliers",
            kind="codec",
            summary="Keys far from the mean stored apart, the rest by another codec",
            target="kvbench_temporal.outliers:KeyOutliers",
        ),
        PartSpec(
            name="age",
            kind="tiering",
            summary="A share of the tokens, the newest, by a codec of their own",
            target="kvbench_temporal.tiering:Age",
        ),
    ]


@hookimpl
def kvbench_policies() -> list[PolicySpec]:
    """The methods of the published study."""
    return [
        PolicySpec(name=name, family=family, summary=what, expression=parts, tags=("study",))
        for name, (family, parts, what) in PRESETS.items()
    ]
