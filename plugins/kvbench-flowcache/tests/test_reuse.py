"""Feature reuse: which passes are skipped, and that skipping saves real work."""

from __future__ import annotations

import pytest
import torch

from kvbench_core.geometry import CacheGeometry, Step
from kvbench_core.registry import build_registry
from kvbench_core.session import CacheSession
from kvbench_flowcache.reuse import FeatureReuse

GEOMETRY = CacheGeometry(layers=2, heads=2, head_dim=8, grid=(4, 4), chunk_frames=3)
SIGMAS = (1.0, 0.9375, 0.8333, 0.625)


def step(index, chunk=0, steps=4):
    return Step(
        geometry=GEOMETRY,
        chunk=chunk,
        denoise_index=index,
        is_context=index == steps,
        start_frame=3 * chunk,
        frames=3,
        denoise_steps=steps,
    )


def answers(features, **parameters):
    """Which of a chunk's noisy passes are skipped."""
    state = FeatureReuse(**parameters).new_state()
    given = enumerate(features)
    return [state.should_skip(step(i, steps=len(features)), torch.tensor(x)) for i, x in given]


def drifting(*changes):
    """Features whose relative L1 changes are these."""
    features = [1.0]
    for change in changes:
        features.append(features[-1] * (1 + change))
    return [[x] for x in features]


def test_the_published_pattern():
    """Changes of 1.24: one stays below 1.5, two do not; the last pass is computed anyway."""
    assert answers(drifting(1.24, 1.24, 1.24)) == [False, True, False, False]


def test_drift_adds_up_and_starts_again_after_a_computed_pass():
    features = drifting(0.4, 0.4, 0.4, 0.4, 0.4)
    assert answers(features, threshold=1.0) == [False, True, True, False, True, False]


def test_nothing_is_skipped_below_the_threshold_or_at_zero():
    assert not any(answers(drifting(0.2, 0.2, 0.2), threshold=0.1))
    assert not any(answers([[1.0]] * 4, threshold=0))


@pytest.mark.parametrize(("warmup", "skipped"), [(0, [1, 2]), (1, [1, 2]), (2, [2]), (3, [])])
def test_warmup_passes_are_computed_and_do_not_drift(warmup, skipped):
    pattern = answers(drifting(0.6, 0.6, 0.6), threshold=1.3, warmup=warmup)
    assert [i for i, skip in enumerate(pattern) if skip] == skipped


def test_a_feature_of_zeros():
    assert answers([[0.0], [0.0], [1.0], [1.0]]) == [False, True, False, False]


def test_chunks_do_not_know_of_each_other():
    state = FeatureReuse().new_state()
    same = torch.ones(4)
    assert [state.should_skip(step(i), same) for i in (0, 1)] == [False, True]
    assert not state.should_skip(step(0, chunk=1), same)
    assert not FeatureReuse().new_state().should_skip(step(1), same), "nothing to compare with"


def test_one_feature_is_kept_and_not_copied():
    state = FeatureReuse().new_state()
    features = [torch.ones(4), torch.ones(4)]
    for index, feature in enumerate(features):
        state.should_skip(step(index), feature)
        kept = [x.data_ptr() for x in vars(state).values() if isinstance(x, torch.Tensor)]
        assert kept == [feature.data_ptr()]


class Rollout:
    """A small causal transformer with random weights, denoising in four steps."""

    def __init__(self, method):
        self.session = CacheSession(build_registry().policy(method), GEOMETRY)
        generator = torch.Generator().manual_seed(0)
        self.embed = torch.randn(4, 16, generator=generator)
        self.layers = torch.randn(2, 4, 16, 16, generator=generator) / 4
        self.head = torch.randn(16, 4, generator=generator) / 16
        self.noise = torch.Generator().manual_seed(1)
        self.attended = 0

    def stack(self, tokens, step):
        self.session.begin_pass(step)
        for layer, weights in enumerate(self.layers):
            qkv = [(tokens @ w).view(1, 48, 2, 8).bfloat16() for w in weights[:3]]
            read = self.session.attend(layer, *qkv)
            self.attended += 1
            tokens = tokens + read.float().reshape(1, 48, 16) @ weights[3]
        return tokens

    def chunk(self, chunk):
        x0, residual = torch.zeros(1, 48, 4), None
        for index, sigma in enumerate(SIGMAS):
            x = (1 - sigma) * x0 + sigma * torch.randn(1, 48, 4, generator=self.noise)
            tokens = x @ self.embed
            if self.session.skip(step(index, chunk), tokens):
                hidden = tokens + residual
            else:
                hidden = self.stack(tokens, step(index, chunk))
                residual = hidden - tokens
            x0 = x - sigma * hidden @ self.head
        self.stack(x0 @ self.embed, step(len(SIGMAS), chunk))
        return x0


def test_one_of_four_passes_is_skipped_and_its_work_saved():
    native, dense = Rollout("FLOWCACHE_NATIVE"), Rollout("BF16")
    for chunk in range(5):
        assert not torch.equal(native.chunk(chunk), dense.chunk(chunk))
    assert native.session.skipped_passes == 5
    assert dense.attended - native.attended == 5 * GEOMETRY.layers
    assert native.session.stored_bytes() == dense.session.stored_bytes()


def test_a_low_threshold_gives_the_bf16_result():
    native, dense = Rollout("FLOWCACHE_NATIVE(threshold=0.1)"), Rollout("BF16")
    assert all(torch.equal(native.chunk(chunk), dense.chunk(chunk)) for chunk in range(3))


def test_together_with_soft_pruning():
    both, pruned = (Rollout(f"FLOWCACHE_{name}SOFT_PRUNE_INT4") for name in ("NATIVE_", ""))
    for chunk in range(5):
        both.chunk(chunk)
        pruned.chunk(chunk)
    assert both.session.skipped_passes == 5
    assert both.session.stored_bytes() == pruned.session.stored_bytes()


def test_on_the_trained_tiny_generator():
    pytest.importorskip("kvbench_selfforcing_wan", reason="the backend is not installed")
    registry = build_registry()
    backend = registry.backend("tiny")
    generator = backend.load(torch.device("cpu"))
    session = CacheSession(registry.policy("FLOWCACHE_NATIVE"), backend.geometry())
    latents = generator.generate("a red ball rolls right", 0, 6, session, lambda _: None)
    assert session.skipped_passes == 2
    assert torch.isfinite(latents).all()
