"""D4, D8, D14: which part of a cache is read, and when it is coded."""

from __future__ import annotations

from benchmarks.accumulated import watched
from benchmarks.methods import policy_of
from benchmarks.pages import code, table
from benchmarks.rollouts import CHUNKS, correlated, draw, gaussian, play, relative_error
from kvbench_core.geometry import Step
from kvbench_core.registry import Registry
from kvbench_core.session import CacheSession

LOUD = 1000.0


def d4(registry: Registry) -> str:
    """Frames that are cached and frames that are read, chunk by chunk."""
    geometry = registry.backend("wan-1.3b").geometry()
    counts = []
    for chunk in range(CHUNKS):
        step = Step(
            geometry=geometry,
            chunk=chunk,
            denoise_index=0,
            is_context=True,
            start_frame=chunk * geometry.chunk_frames,
            frames=geometry.chunk_frames,
        )
        cached = step.stop // geometry.tokens_per_frame
        history = sum(stop - start for start, stop in step.visible_history())
        counts.append((cached, history // geometry.tokens_per_frame + geometry.chunk_frames))
    dead = sum(cached - read for cached, read in counts)
    total = sum(cached for cached, _ in counts)
    last_cached, last_read = counts[-1]
    rows = [
        {
            "chunk": chunk + 1,
            "cached frames": cached,
            "read": read,
            "never read again": cached - read,
        }
        for chunk, (cached, read) in enumerate(counts)
        if chunk in (0, 6, 7, 9, 11, 13)
    ]
    return (
        f"{table(rows)}\n\nAt the end {(last_cached - last_read) / last_cached:.0%} of the cache "
        f"is never read again, {dead / total:.1%} over the rollout. With these tokens overwritten "
        f"by {LOUD:.0f} before the last chunk, its attention differs by "
        f"{_change_by_dead_tokens(registry):g} at most. A BF16 cache of the window alone has "
        f"ratio {last_cached / last_read:.4f}."
    )


def _change_by_dead_tokens(registry: Registry) -> float:
    """Largest change of the last chunk's attention if what it cannot read is overwritten."""
    tensors = draw(gaussian, seed=0)
    last = CHUNKS - 1

    def spoil(session: CacheSession, step: Step) -> None:
        if step.chunk == last - 1:
            following = (last + 1) * step.geometry.chunk_frames - (step.geometry.window_frames or 0)
            # The BF16 cache hands out views of its buffers.
            content = session.layers[0].materialise(step.stop)
            content.k[:, : following * step.geometry.tokens_per_frame] = LOUD
            content.v[:, : following * step.geometry.tokens_per_frame] = LOUD

    bf16 = registry.policy("BF16")
    spoiled, whole = play(bf16, tensors, after=spoil), play(bf16, tensors)
    return float((spoiled.outputs[last] - whole.outputs[last]).abs().max())


def d8(registry: Registry) -> str:
    """Error of the chunk just written, with tiers by what exists and by the allocation."""
    tensors = draw(correlated, seed=0)
    rows = []
    for name in ("AGE_TIER_INT2", "TPTQ_INT2"):
        for text in (name, f"{name}@reconstruct"):
            newest = watched(policy_of(registry, text), tensors, passes=1).newest
            rows.append(
                {
                    "method": code(text),
                    **{f"chunk {c}": f"{newest[c - 1]:.3f}" for c in (1, 2, 3, 5, 9, 10, 11, 14)},
                }
            )
    return table(rows)


def d14(registry: Registry) -> str:
    """Attention in the first chunks against BF16."""
    tensors = draw(gaussian, seed=0, chunks=3)
    reference = play(registry.policy("BF16"), tensors).outputs
    rows = []
    for name in ("RTN_INT2", "KIVI_INT2", "QUAROT_KV_INT2"):
        outputs = play(registry.policy(name), tensors).outputs
        largest = float((outputs[0] - reference[0]).abs().max())
        rows.append(
            {
                "method": code(name),
                "chunk 1, largest difference": f"{largest:g}",
                "chunk 2, relative error": f"{relative_error(outputs[1], reference[1]):.3f}",
                "chunk 3, relative error": f"{relative_error(outputs[2], reference[2]):.3f}",
            }
        )
    return table(rows)
