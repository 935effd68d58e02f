"""KV caches coded in two stages (PRQ) or with outliers apart (QAQ): hooks only."""

from __future__ import annotations

from kvbench_core.hookspecs import hookimpl
from kvbench_core.specs import PartSpec, PolicySpec

PRESETS = {
    "PRQ_INT2": ("prq(bits=2, residual_bits=4)", "Rounded to 3 levels, the residual to 15"),
    "PRQ_INT4": ("prq(bits=4, residual_bits=4)", "Rounded to 15 levels, the residual to 15"),
    "QAQ_INT2": ("qaq(bits=2, threshold=6.0)", "KIVI_INT2 with values beyond 6 sigma apart"),
    "QAQ_INT4": ("qaq(bits=4, threshold=6.0)", "KIVI_INT4 with values beyond 6 sigma apart"),
}


@hookimpl
def kvbench_parts() -> list[PartSpec]:
    """The two codecs."""
    return [
        PartSpec(
            name="prq",
            kind="codec",
            summary="Symmetric rounding, then symmetric rounding of what is left",
            target="kvbench_residual.prq:Prq",
        ),
        PartSpec(
            name="qaq",
            kind="codec",
            summary="Asymmetric rounding of clamped K and V, values beyond the clamp apart",
            target="kvbench_residual.qaq:Qaq",
        ),
    ]


@hookimpl
def kvbench_policies() -> list[PolicySpec]:
    """The four methods of the published study."""
    return [
        PolicySpec(name=name, family=name[:3], summary=what, expression=parts, tags=("study",))
        for name, (parts, what) in PRESETS.items()
    ]
