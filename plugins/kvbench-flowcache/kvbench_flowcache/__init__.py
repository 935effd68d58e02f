"""FlowCache-inspired KV caches: hooks only."""

from __future__ import annotations

from kvbench_core.hookspecs import hookimpl
from kvbench_core.specs import PartKind, PartSpec, PolicySpec

FINE = "newest=rtn(bits=4)"
TIERS = f"{FINE}, important=rtn(bits=4)"
PUBLISHED = "layer_budgets='moviegen'"
SOFT_PRUNE_INT4 = f"rtn(bits=4)+soft_prune({TIERS}, retained_share=0.45, {PUBLISHED})"
REUSE = "feature_reuse(threshold=1.5, warmup=0)"

PRESETS = {
    "FLOWCACHE_HYBRID_INT2": (
        f"rtn(bits=2)+hybrid({FINE}, {PUBLISHED})",
        "Newest frames at 4 bits, older ones at 2",
    ),
    "FLOWCACHE_ADAPTIVE_INT2": (
        f"rtn(bits=2)+adaptive({TIERS}, important_share=0.2, {PUBLISHED})",
        "Newest and important frames at 4 bits, the others at 2",
    ),
    "FLOWCACHE_PRUNE_INT2": (
        f"rtn(bits=2)+prune({TIERS}, retained_share=0.3, {PUBLISHED})",
        "Newest and important frames at 4 bits, some at 2, the others zero",
    ),
    "FLOWCACHE_PRUNE_INT4": (
        f"rtn(bits=4)+prune({TIERS}, retained_share=0.45, {PUBLISHED})",
        "Some frames at 4 bits, the others zero",
    ),
    "FLOWCACHE_SOFT_PRUNE_INT2": (
        f"rtn(bits=2)+soft_prune({TIERS}, retained_share=0.45, {PUBLISHED})",
        "Newest and important frames at 4 bits, some at 2, of the others the mean",
    ),
    "FLOWCACHE_SOFT_PRUNE_INT4": (SOFT_PRUNE_INT4, "Some frames at 4 bits, of the others the mean"),
    "FLOWCACHE_NATIVE": (REUSE, "No compression; similar denoising passes are skipped"),
    "FLOWCACHE_NATIVE_SOFT_PRUNE_INT4": (
        f"{SOFT_PRUNE_INT4}+{REUSE}",
        "FLOWCACHE_SOFT_PRUNE_INT4, and similar denoising passes are skipped",
    ),
}
DROP_INT4 = f"rtn(bits=4)+drop({TIERS}, retained_share=0.45, {PUBLISHED})"

PARTS: dict[str, tuple[PartKind, str, str]] = {
    "hybrid": ("tiering", "tiering:Hybrid", "Newest frames by a codec of their own"),
    "adaptive": (
        "tiering",
        "tiering:Adaptive",
        "Newest and important frames by codecs of their own",
    ),
    "prune": ("tiering", "tiering:Prune", "Frames of least importance become zeros"),
    "soft_prune": (
        "tiering",
        "tiering:SoftPrune",
        "Frames of least importance become their mean",
    ),
    "drop": ("tiering", "tiering:Drop", "Frames of least importance are removed from attention"),
    "feature_reuse": ("reuse", "reuse:FeatureReuse", "Passes over similar input are skipped"),
}


@hookimpl
def kvbench_parts() -> list[PartSpec]:
    """Tiers of frames, three ways of pruning, and the reuse rule."""
    return [
        PartSpec(name=name, kind=kind, summary=what, target=f"kvbench_flowcache.{target}")
        for name, (kind, target, what) in PARTS.items()
    ]


@hookimpl
def kvbench_policies() -> list[PolicySpec]:
    """The eight methods of the published study, and true removal."""
    study = [
        PolicySpec(name=name, family="FLOWCACHE", summary=what, expression=text, tags=("study",))
        for name, (text, what) in PRESETS.items()
    ]
    drop = PolicySpec(
        name="FLOWCACHE_DROP_INT4",
        family="FLOWCACHE",
        summary="FLOWCACHE_PRUNE_INT4 with pruned frames removed from the softmax",
        expression=DROP_INT4,
    )
    return [*study, drop]
