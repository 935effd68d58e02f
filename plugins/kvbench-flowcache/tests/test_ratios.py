"""Stored bytes after 42 latent frames on Wan 1.3B against the published ones."""

from __future__ import annotations

import pytest
import torch
from attrs import evolve

from kvbench_core.geometry import CacheGeometry, Step
from kvbench_core.published import BENCHMARKS, method_figures
from kvbench_core.registry import build_registry
from kvbench_core.session import CacheSession

FRAMES = 42
WAN = CacheGeometry(layers=30, heads=12, head_dim=128, grid=(30, 52))

COMPRESSING = (
    "HYBRID_INT2",
    "ADAPTIVE_INT2",
    "PRUNE_INT2",
    "PRUNE_INT4",
    "SOFT_PRUNE_INT2",
    "SOFT_PRUNE_INT4",
    "NATIVE_SOFT_PRUNE_INT4",
)


def ratio(method, geometry=WAN):
    """Planned as one chunk of 42 frames: what is stored depends on the number of frames alone."""
    geometry = evolve(geometry, chunk_frames=FRAMES)
    session = CacheSession(build_registry().policy(method), geometry, device="meta")
    step = Step(
        geometry=geometry, chunk=0, denoise_index=0, is_context=True, start_frame=0, frames=FRAMES
    )
    shape = (1, geometry.tokens_per_chunk, geometry.heads, geometry.head_dim)
    qkv = torch.empty((3, *shape), dtype=torch.bfloat16, device="meta")
    session.begin_pass(step)
    for layer in range(geometry.layers):
        session.attend(layer, *qkv)
    return geometry.dense_bytes(FRAMES) / session.stored_bytes()


@pytest.mark.parametrize("benchmark", BENCHMARKS)
@pytest.mark.parametrize("name", COMPRESSING)
def test_published_ratios(name, benchmark):
    published = method_figures(benchmark)[f"FLOWCACHE_{name}"].compression_ratio
    ours = ratio(f"FLOWCACHE_{name}(layer_budgets={benchmark!r})")
    assert published * 0.995 < ours < published * 1.005


@pytest.mark.parametrize(
    ("method", "published"),
    [
        ("FLOWCACHE_HYBRID_INT2(layer_budgets='ramp')", 4.5404),
        ("FLOWCACHE_ADAPTIVE_INT2(important_share=0.1)", 4.4312),
        ("FLOWCACHE_PRUNE_INT2(retained_share=0.45)", 6.8372),
    ],
)
def test_ratios_of_runs_that_were_not_published(method, published):
    assert ratio(method) == pytest.approx(published, rel=0.005)


def test_removal_stores_what_zeros_store():
    assert ratio("FLOWCACHE_DROP_INT4") == ratio("FLOWCACHE_PRUNE_INT4")


def test_bytes_do_not_depend_on_chunks():
    small = evolve(WAN, layers=3, heads=2, head_dim=8, grid=(4, 6))
    for name in ("ADAPTIVE_INT2", "SOFT_PRUNE_INT2"):
        policy = build_registry().policy(f"FLOWCACHE_{name}")
        session = CacheSession(policy, small, device="meta")
        for chunk in range(FRAMES // 3):
            session.begin_pass(
                Step(
                    geometry=small,
                    chunk=chunk,
                    denoise_index=0,
                    is_context=True,
                    start_frame=3 * chunk,
                    frames=3,
                )
            )
            for layer in range(3):
                session.attend(layer, *torch.empty(3, 1, 72, 2, 8, device="meta").bfloat16())
        stored = small.dense_bytes(FRAMES) / ratio(f"FLOWCACHE_{name}", small)
        assert session.stored_bytes() == pytest.approx(stored)
