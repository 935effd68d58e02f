"""Planned compression of the study's methods beside the published ratios; the methods overview."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import click

from benchmarks.containers import peaks
from benchmarks.methods import family_of, methods_option, selected, usable
from benchmarks.pages import Row, code, docs_option, provenance, single_thread, table, update
from kvbench_core.budget import Footprint, footprint
from kvbench_core.published import GIB, MethodFigures, layer_budgets, method_figures
from kvbench_core.registry import Registry, build_registry
from kvbench_core.specs import PolicySpec
from kvbench_report.peaks import BACKEND, FRAMES

TOKENS_PER_FRAME = 1560
NOTEWORTHY = 0.5  # percent
INDEX_BYTES, MASK_BYTES = 8, 1  # of the study's lists, for each token of a layer

REASONS = {
    "AGE_TIER": "the study counts 9 bytes of index lists and mask per token and layer; tiers are "
    "contiguous here and need none",
    "TPTQ": "the study counts 9 bytes of index lists and mask per token and layer, and 6 for each "
    "outlier; their number depends on the data, and none are planned",
    "QAQ": "the number of outliers depends on the data, and none are planned; the study counts 6 "
    "bytes for each, here they take 4",
    "SPATIAL_MIXED": "the study counts 9 bytes of index lists and mask per token and layer; here "
    "one bit per position and chunk, at the share of foreground that the preset aims at",
    "FLOWCACHE": "the study counts 8 or 9 bytes of index list per kept token; here a frame's "
    "tokens are groups of their own, the last of them half empty",
}
PUBLISHED_SHARE = {
    "SPATIAL_MIXED_FG_RTN_INT4_BG_RTN_INT2": (
        "SPATIAL_MIXED_FG_RTN_INT4_BG_RTN_INT2(target_share=0.66)"
    ),
}


@click.command()
@methods_option
@docs_option
@click.pass_context
def main(ctx: click.Context, methods: str, docs: Path) -> None:
    """Write docs/ratios.md and docs/methods.md.

    Nothing is generated: stored bytes are those of a rollout of 42 latent frames on tensors
    without memory, at the geometry of Wan 2.1 1.3B.
    """
    single_thread()
    registry = build_registry()
    backend = registry.backend(BACKEND)
    plans = {
        name: footprint(policy, backend, FRAMES)
        for name, policy in selected(registry, methods).items()
    }
    for name, policy in usable(registry, at_published_share(plans)).items():
        plans[name] = footprint(policy, backend, FRAMES)
    rows = [comparison(registry, name, plan) for name, plan in plans.items()]
    update(
        docs / "ratios.md",
        {
            "provenance": provenance(ctx, "ratios"),
            "ratios": table(rows),
            "reasons": reasons(registry, plans),
            "containers": table(list(containers(registry))),
        },
    )
    update(docs / "methods.md", {"methods": table(overview(registry, plans))})


def at_published_share(plans: Mapping[str, Footprint]) -> list[str]:
    """Methods whose size depends on the data, at the share that the published size amounts to."""
    return [text for name, text in PUBLISHED_SHARE.items() if name in plans]


def published(name: str) -> MethodFigures | None:
    """The MovieGen figures of a preset, whatever its parameters here."""
    return method_figures("moviegen").get(name.partition("(")[0])


def difference(name: str, plan: Footprint) -> float | None:
    """How far our ratio is above the published one, in percent."""
    figures = published(name)
    if figures is None or figures.compression_ratio is None:
        return None
    return 100 * (plan.compression_ratio / figures.compression_ratio - 1)


def comparison(registry: Registry, name: str, plan: Footprint) -> Row:
    """One method, ours against the study's accounting."""
    figures = published(name)
    above = difference(name, plan)
    lists = index_bytes(name, family_of(registry, name), plan)
    return {
        "method": code(name),
        "stored bytes": f"{plan.stored_bytes:,}",
        "ratio": f"{plan.compression_ratio:.4f}",
        "published": _number(figures.compression_ratio if figures else None),
        "published without index lists": _without(figures, lists),
        "above published %": "-" if above is None else f"{above:+.2f}",
    }


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _without(figures: MethodFigures | None, lists: int) -> str:
    if figures is None or figures.compressed_kv_bytes is None:
        return "-"
    dense = method_figures("moviegen")["BF16"].compressed_kv_bytes
    assert dense is not None
    return f"{dense / (figures.compressed_kv_bytes - lists):.4f}"


def index_bytes(name: str, family: str, plan: Footprint) -> int:
    """Bytes of lists and masks in the published size of a method, all layers."""
    layers = len(layer_budgets("moviegen"))
    tokens = layers * plan.frames * TOKENS_PER_FRAME
    if family in ("AGE_TIER", "TPTQ", "SPATIAL_MIXED") or name == "FLOWCACHE_HYBRID_INT2":
        return tokens * (INDEX_BYTES + MASK_BYTES)
    if name == "FLOWCACHE_ADAPTIVE_INT2":
        return tokens * INDEX_BYTES
    if "PRUNE" not in name:
        return 0
    pruned = sum(_pruned(layer.scale, name, plan.frames) for layer in layer_budgets("moviegen"))
    spans = 16 * pruned if "SOFT" in name else 0
    return (tokens - pruned * TOKENS_PER_FRAME) * INDEX_BYTES + spans


def _pruned(scale: float, name: str, frames: int) -> int:
    """Frames that the study's rule prunes in a layer of this scale."""
    old = frames - max(1, round(min(0.25 * scale, 1) * frames))
    rest = old - max(1, round(0.1 * scale * old))
    return rest - max(1, round((0.3 if name == "FLOWCACHE_PRUNE_INT2" else 0.45) * scale * rest))


def reasons(registry: Registry, plans: dict[str, Footprint]) -> str:
    """Why a family's ratio is off by more than half a percent, for those that are."""
    off: dict[str, list[str]] = {}
    for name, plan in plans.items():
        above = difference(name, plan)
        if above is not None and abs(above) > NOTEWORTHY:
            off.setdefault(family_of(registry, name), []).append(f"`{name}` {above:+.2f} %")
    lines = [f"- {', '.join(names)}: {REASONS[family]}." for family, names in off.items()]
    found = {name: difference(name, plan) for name, plan in plans.items()}
    known = {name: above for name, above in found.items() if above is not None}
    least = min(known, key=lambda name: known[name], default=None)
    short = f"Furthest below: `{least}`, {known[least]:+.2f} %." if least else "None compared."
    return "\n".join([short, "", *lines])


def containers(registry: Registry) -> Iterator[Row]:
    """Codes packed and as the study held them, against the published peak."""
    dense_bytes = registry.backend(BACKEND).geometry().dense_bytes(FRAMES)
    for peak in peaks(registry):
        yield {
            "method": code(peak.method),
            "packed GiB": f"{peak.packed_bytes / GIB:.4f}",
            "held GiB": f"{peak.held_bytes / GIB:.4f}",
            "ratio held": f"{dense_bytes / peak.held_bytes:.3f}",
            "held and all else GiB": f"{peak.model_bytes / GIB:.4f}",
            "published peak GiB": f"{peak.published_bytes / GIB:.4f}",
            "difference bytes": f"{-peak.difference_bytes:+,}",
        }


def overview(registry: Registry, plans: dict[str, Footprint]) -> Sequence[Row]:
    """What each method is, one line each."""
    entries = registry.all(PolicySpec)
    rows = []
    for name in (name for name in plans if name in entries):
        plan, spec = plans[name], registry.find(PolicySpec, name)
        rows.append(
            {
                "method": code(name),
                "family": spec.family,
                "ratio": f"{plan.compression_ratio:.3f}",
                "summary": spec.summary,
                "expression": code(spec.expression),
                "package": entries[name].plugin.package,
            }
        )
    return sorted(rows, key=lambda row: row["family"] != "BF16")


if __name__ == "__main__":
    main()
