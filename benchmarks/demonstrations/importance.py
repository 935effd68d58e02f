"""D9 to D12: which tokens were taken for important, and what became of the others."""

from __future__ import annotations

import torch

from benchmarks.accumulated import watched
from benchmarks.methods import policy_of
from benchmarks.pages import code, table
from benchmarks.rollouts import around_half, correlated, draw, gaussian, play, relative_error
from kvbench_core.registry import Registry

CHUNK_FRAMES, FRAMES = 3, 42
PASSES = 5


def d9(_: Registry) -> str:
    """The published score of frames that did not change, and of a frame that was pruned."""
    from kvbench_flowcache.score import PublishedChange

    generator = torch.Generator().manual_seed(0)
    summaries = 1.6 + 0.03 * torch.randn(9, 2, generator=generator)
    score = PublishedChange(alpha=1.0, beta=0.0)
    score.scores(6, summaries[:6])
    unchanged = score.scores(9, summaries)
    pruned = PublishedChange(alpha=1.0, beta=0.0)
    empty = summaries.clone()
    empty[0] = 0
    pruned.scores(6, empty[:6])
    exploded = max(pruned.scores(9, empty))
    texts = ", ".join(f"{value:.3f}" for value in unchanged)
    return (
        f"Six frames that stay as they are, then three new ones: changes {texts}; the true change "
        f"of the first six is 0. With one of the first six pruned, the frame that is compared with "
        f"it scores {exploded:.3g}."
    )


def d10(registry: Registry) -> str:
    """Pruned frames as zeros in the softmax, removed from it, and as their mean."""
    tensors = draw(gaussian, seed=0, values=around_half)
    reference = torch.cat(play(registry.policy("BF16"), tensors).outputs[1:])
    rows = []
    for name, text in (
        ("zeros", "bf16()+prune(retained_share=0.45)"),
        ("removed", "bf16()+drop(retained_share=0.45)"),
        ("mean", "bf16()+soft_prune(retained_share=0.45)"),
    ):
        out = torch.cat(play(registry.policy(text), tensors).outputs[1:])
        rows.append(
            {
                "what": f"pruned frames {name}",
                "method": code(text),
                "norm of the output / BF16": f"{float(out.norm() / reference.norm()):.3f}",
                "error against BF16": f"{relative_error(out, reference):.3f}",
            }
        )
    return table(rows)


def d11(registry: Registry) -> str:
    """Moving positions found, and masks that change."""
    return f"{table(_found())}\n\n{table(_mixed(registry))}"


def _found() -> list[dict[str, object]]:
    """Which positions vary, over the filled frames and over the allocation."""
    generator = torch.Generator().manual_seed(0)
    positions, moving = 168, 34
    static = torch.randn(positions, generator=generator).mul(0.5).exp()
    rows: list[dict[str, object]] = []
    for filled in (6, 21, 30):
        swing = 1 + (torch.rand(filled, moving, generator=generator) - 0.5)
        magnitude = static.repeat(filled, 1) * (
            1 + 0.05 * torch.randn(filled, positions, generator=generator)
        )
        magnitude[:, :moving] *= swing
        padded = torch.cat([magnitude, torch.zeros(FRAMES - filled, positions)])
        for name, seen in (("filled frames", magnitude), ("allocation", padded)):
            variance = seen.var(dim=0, correction=0)
            top = variance.argsort(descending=True)[:moving]
            rows.append(
                {
                    "filled": f"{filled} of {FRAMES}",
                    "what": f"variance over {name}",
                    "above 0.02": f"{float((variance > 0.02).float().mean()):.0%}",
                    "moving positions found": f"{float((top < moving).float().mean()):.0%}",
                }
            )
    return rows


def _mixed(registry: Registry) -> list[dict[str, object]]:
    """Errors of keys with a mask for each chunk, and with one mask redrawn at every write."""
    tensors = draw(correlated, seed=0)
    rows: list[dict[str, object]] = []
    for name in (
        "RTN_INT4",
        "SPATIAL_MIXED_FG_RTN_INT4_BG_RTN_INT4",
        "SPATIAL_MIXED_FG_RTN_INT4_BG_RTN_INT2",
    ):
        for text in (name, f"{name}@reconstruct"):
            watch = watched(policy_of(registry, text), tensors, passes=PASSES)
            rows.append(
                {
                    "method": code(text),
                    "K, oldest chunk": f"{watch.oldest[-1]:.3f}",
                    "K, newest chunk": f"{watch.newest[-1]:.3f}",
                }
            )
    return rows


def d12(_: Registry) -> str:
    """Refreshes of a plan by the study's rule, whatever its gap."""
    counts = {}
    for gap in (1, 3, 6, 12):
        planned, refreshes = 0, 0
        for chunk in range(FRAMES // CHUNK_FRAMES):
            for _pass in range(PASSES):
                frames = (chunk + 1) * CHUNK_FRAMES
                if frames != planned or frames - planned >= gap:
                    planned, refreshes = frames, refreshes + 1
        counts[gap] = refreshes
    writes = FRAMES // CHUNK_FRAMES * PASSES
    texts = ", ".join(f"gap {gap}: {count} of {writes}" for gap, count in counts.items())
    return f"Refreshes by writes: {texts}."
