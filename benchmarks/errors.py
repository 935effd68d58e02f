"""What each method's coding does to K, V and attention, on three families of tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import click
import torch
from attrs import frozen

from benchmarks.methods import family_of, methods_option, selected, usable
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
from benchmarks.rollouts import CHUNKS, FAMILIES, Played, Tensors, draw, play, relative_error
from kvbench_core.policy import Policy
from kvbench_core.registry import build_registry

CLAMPED = "zero_point='clamped'"
VARIANTS = tuple(
    f"{name}({CLAMPED})" for name in ("KIVI_INT2", "KIVI_INT4", "QAQ_INT2", "QAQ_INT4")
)


@frozen(kw_only=True)
class Errors:
    """Relative errors, 2-norms: 0 is exact, 1 as large as the tensor itself.

    ``k`` and ``v`` are over the tokens that the last chunk's window shows, ``out`` over
    the attention output of all chunks but the first, which reads nothing that was stored.
    """

    k: float
    v: float
    out: float


def errors_of(policy: Policy, tensors: Tensors, reference: Played) -> Errors:
    """One method's errors on one rollout."""
    played = play(policy, tensors)
    geometry = tensors.geometry
    tokens = tensors.frames * geometry.tokens_per_frame
    shown = (geometry.window_frames or tensors.frames) * geometry.tokens_per_frame
    window = slice(max(0, tokens - shown), tokens)
    content = played.content(tokens)
    return Errors(
        k=relative_error(content.k[:, window], tensors.k[:, window]),
        v=relative_error(content.v[:, window], tensors.v[:, window]),
        out=relative_error(torch.cat(played.outputs[1:]), torch.cat(reference.outputs[1:])),
    )


def measure(
    policies: Mapping[str, Policy], bf16: Policy, *, seed: int, chunks: int
) -> dict[str, dict[str, Errors]]:
    """Errors by method and tensor family."""
    rollouts = {name: draw(family, seed=seed, chunks=chunks) for name, family in FAMILIES.items()}
    references = {name: play(bf16, tensors) for name, tensors in rollouts.items()}
    return {
        method: {
            name: errors_of(policy, tensors, references[name]) for name, tensors in rollouts.items()
        }
        for method, policy in policies.items()
    }


@click.command()
@methods_option
@click.option("--seed", default=0, show_default=True, help="Of the tensors.")
@click.option("--chunks", default=CHUNKS, show_default=True, help="Length of the rollouts.")
@docs_option
@click.pass_context
def main(ctx: click.Context, methods: str, seed: int, chunks: int, docs: Path) -> None:
    """Write docs/errors.md and docs/errors.csv."""
    single_thread()
    registry = build_registry()
    policies = selected(registry, methods)
    policies |= usable(registry, [text for text in VARIANTS if text.partition("(")[0] in policies])
    measured = measure(policies, registry.policy("BF16"), seed=seed, chunks=chunks)
    rows = [
        {"method": code(method), "family": family_of(registry, method), **_texts(errors)}
        for method, errors in measured.items()
    ]
    update(
        docs / "errors.md",
        {"provenance": provenance(ctx, "errors", f"Seed {seed}."), "errors": table(rows)},
    )
    write_csv(docs / "errors.csv", _flat(measured))


def _texts(errors: Mapping[str, Errors]) -> Row:
    return {
        f"{name}: {what}": f"{value:.4f}"
        for name, each in errors.items()
        for what, value in (("K", each.k), ("V", each.v), ("out", each.out))
    }


def _flat(measured: Mapping[str, Mapping[str, Errors]]) -> Sequence[Row]:
    return [
        {"method": method, "tensors": name, "k": each.k, "v": each.v, "out": each.out}
        for method, errors in measured.items()
        for name, each in errors.items()
    ]


if __name__ == "__main__":
    main()
