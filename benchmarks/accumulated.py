"""Error of old and new chunks after a rollout: history coded once, and coded on every write."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click
from attrs import define, field

from benchmarks.methods import family_of, selected
from benchmarks.pages import (
    Row,
    code,
    docs_option,
    provenance,
    single_thread,
    table,
    update,
    write_csv,
)
from benchmarks.rollouts import CHUNKS, FAMILIES, Tensors, correlated, draw, play, relative_error
from kvbench_core.geometry import Step
from kvbench_core.integration import INTEGRATIONS, integrate
from kvbench_core.policy import Policy
from kvbench_core.registry import build_registry
from kvbench_core.session import CacheSession

PASSES = 5
REPRESENTATIVES = ",".join(
    [
        "RTN_INT4",
        "KIVI_INT4",
        "KIVI_INT4(zero_point='clamped')",
        "QUAROT_KV_INT4",
        "PRQ_INT4",
        "QAQ_INT4",
        "QAQ_INT4(zero_point='clamped')",
        "AGE_TIER_INT2",
        "TPTQ_INT2",
        "FLOWCACHE_HYBRID_INT2",
        "FLOWCACHE_SOFT_PRUNE_INT4",
        "SPATIAL_MIXED_FG_RTN_INT4_BG_RTN_INT4",
    ]
)
TENSORS = {**FAMILIES, "correlated": correlated}
methods_option = click.option(
    "--methods", default=REPRESENTATIVES, help="As elsewhere [default: one for each family]."
)


@define
class Watch:
    """Relative errors of keys in one chunk, after every chunk's clean pass."""

    tensors: Tensors
    oldest: list[float] = field(factory=list)
    newest: list[float] = field(factory=list)
    values: list[float] = field(factory=list)
    """Of the oldest chunk's values."""

    def __call__(self, session: CacheSession, step: Step) -> None:
        if not step.is_context:
            return
        size = step.geometry.tokens_per_chunk
        content = session.layers[0].materialise(step.stop)
        exact = self.tensors.k, self.tensors.v
        self.oldest.append(relative_error(content.k[:, :size], exact[0][:, :size]))
        self.values.append(relative_error(content.v[:, :size], exact[1][:, :size]))
        newest = slice(step.start, step.stop)
        self.newest.append(relative_error(content.k[:, newest], exact[0][:, newest]))


def watched(policy: Policy, tensors: Tensors, passes: int = PASSES) -> Watch:
    """A rollout's errors."""
    watch = Watch(tensors)
    play(policy, tensors, passes=passes, after=watch)
    return watch


def compare(policy: Policy, tensors: Tensors, passes: int = PASSES) -> dict[str, Watch]:
    """The errors of a method by integration."""
    return {name: watched(integrate(policy, name), tensors, passes) for name in INTEGRATIONS}


@click.command()
@methods_option
@click.option("--tensors", default="correlated", type=click.Choice(list(TENSORS)), help="Family.")
@click.option("--seed", default=0, show_default=True, help="Of the tensors.")
@click.option("--chunks", default=CHUNKS, show_default=True, help="Length of the rollouts.")
@docs_option
@click.pass_context
def main(
    ctx: click.Context, methods: str, tensors: str, seed: int, chunks: int, docs: Path
) -> None:
    """Write docs/accumulated-error.md and docs/accumulated-error.csv."""
    single_thread()
    registry = build_registry()
    rollout = draw(TENSORS[tensors], seed=seed, chunks=chunks)
    measured = {
        name: compare(policy, rollout) for name, policy in selected(registry, methods).items()
    }
    families = {name: family_of(registry, name) for name in measured}
    note = f"Seed {seed}; {chunks} chunks of {PASSES} passes."
    update(
        docs / "accumulated-error.md",
        {
            "provenance": provenance(ctx, "accumulated", note),
            "accumulated": table([_row(name, families[name], measured[name]) for name in measured]),
        },
    )
    write_csv(
        docs / "accumulated-error.csv",
        [row for name, by_integration in measured.items() for row in _flat(name, by_integration)],
    )


def _row(name: str, family: str, measured: Mapping[str, Watch]) -> Row:
    once, again = (measured[integration] for integration in INTEGRATIONS)
    writes = PASSES * len(again.oldest)
    return {
        "method": code(name),
        "family": family,
        "K, oldest, streaming": f"{once.oldest[-1]:.4f}",
        f"reconstruct, {PASSES} writes": f"{again.oldest[0]:.4f}",
        f"reconstruct, {writes} writes": f"{again.oldest[-1]:.4f}",
        "K, newest, streaming": f"{once.newest[-1]:.4f}",
        "reconstruct": f"{again.newest[-1]:.4f}",
        "V, oldest, streaming": f"{once.values[-1]:.4f}",
        "V, oldest, reconstruct": f"{again.values[-1]:.4f}",
    }


def _flat(name: str, measured: Mapping[str, Watch]) -> list[Row]:
    return [
        {
            "method": name,
            "integration": integration,
            "chunks": chunk + 1,
            "oldest_k": watch.oldest[chunk],
            "oldest_v": watch.values[chunk],
            "newest_k": watch.newest[chunk],
        }
        for integration, watch in measured.items()
        for chunk in range(len(watch.oldest))
    ]


if __name__ == "__main__":
    main()
