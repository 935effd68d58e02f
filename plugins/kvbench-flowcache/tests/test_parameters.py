"""Presets mean what the study ran; parameters out of range are one clear sentence."""

from __future__ import annotations

import pytest
import torch

from kvbench_core.errors import KvbenchError, ParameterError
from kvbench_core.geometry import CacheGeometry
from kvbench_core.registry import build_registry
from kvbench_core.session import CacheSession
from kvbench_flowcache.plan import Level

IN_FORCE = {
    "HYBRID_INT2": (4, None, 2, None, None),
    "ADAPTIVE_INT2": (4, 4, 2, 0.2, None),
    "PRUNE_INT2": (4, 4, 2, 0.1, 0.3),
    "PRUNE_INT4": (4, 4, 4, 0.1, 0.45),
    "SOFT_PRUNE_INT2": (4, 4, 2, 0.1, 0.45),
    "SOFT_PRUNE_INT4": (4, 4, 4, 0.1, 0.45),
    "NATIVE_SOFT_PRUNE_INT4": (4, 4, 4, 0.1, 0.45),
    "DROP_INT4": (4, 4, 4, 0.1, 0.45),
}
"""Bits of the newest, important and other frames; shares of important and retained frames."""


@pytest.mark.parametrize("name", IN_FORCE)
def test_presets(name):
    policy = build_registry().policy(f"FLOWCACHE_{name}")
    shares, codecs = policy.tiering.shares(), policy.tiering.codecs(policy.codec)
    important = codecs.get(Level.IMPORTANT)
    assert (
        codecs[Level.NEWEST].bits,
        None if important is None else important.bits,
        codecs[Level.RETAINED].bits,
        shares.important,
        shares.retained,
    ) == IN_FORCE[name]
    assert shares.newest == 0.25
    assert policy.tiering.layer_budgets == "moviegen"
    assert (policy.reuse() is not None) == name.startswith("NATIVE")


BAD = {
    "hybrid(newest_share=0)": "newest_share must be a fraction in (0, 1]; got 0",
    "hybrid(newest=4)": "newest must be a codec such as rtn(bits=4); got 4",
    "adaptive(important_share=1.5)": "important_share must be a fraction in (0, 1]; got 1.5",
    "prune(retained_share=-0.1)": "retained_share must be a fraction in (0, 1]; got -0.1",
    "soft_prune(retained_share='half')": "retained_share must be a fraction in (0, 1]; got 'half'",
    "drop(score='random')": "score must be one of recency, published; got 'random'",
    "drop(alpha=-1)": "alpha must be a number of at least 0; got -1",
    "feature_reuse(warmup=-1)": "warmup must be a whole number of at least 0; got -1",
    "feature_reuse(threshold=-0.5)": "threshold must be a number of at least 0; got -0.5",
    "feature_reuse(threshold=1e999)": "threshold must be a number of at least 0; got inf",
}


@pytest.mark.parametrize("part", BAD)
def test_bad_parameters(part):
    with pytest.raises(ParameterError) as caught:
        build_registry().policy(f"rtn(bits=4)+{part}")
    assert str(caught.value) == f"{part.partition('(')[0]}: {BAD[part]}"


def test_groups_longer_than_a_frame_are_refused_before_the_rollout():
    policy = build_registry().policy("rtn(bits=4)+prune(newest=rtn(bits=8, group_tokens=32))")
    geometry = CacheGeometry(layers=1, heads=1, head_dim=8, grid=(4, 6))
    with pytest.raises(KvbenchError, match="the 24 tokens of a latent frame; got 32"):
        CacheSession(policy, geometry, dtype=torch.float32)
