"""The presets, their sizes, and ``reconstruct`` against the study's loop written out."""

from __future__ import annotations

import pytest
import torch

from kvbench_core.budget import footprint
from kvbench_core.conformance.inputs import Inputs
from kvbench_core.conformance.rollout import open_session, play, run_pass
from kvbench_core.geometry import CacheGeometry
from kvbench_core.integration import integrate
from kvbench_core.registry import build_registry
from kvbench_core.specs import PolicySpec

# 160 tokens in all, so that both tiers are whole groups of 16, as the study's padding made them.
GEOMETRY = CacheGeometry(layers=1, heads=2, head_dim=8, grid=(2, 5), chunk_frames=2)
CHUNKS, TOKENS = 8, 160


@pytest.fixture(scope="module")
def registry():
    return build_registry()


def sym(x, bits):
    """SYM(bits) over blocks of 16 tokens, decoded to x's dtype."""
    qmax = 2 ** (bits - 1) - 1
    blocks = x.unflatten(1, (-1, 16))
    scale = (blocks.abs().amax(2, keepdim=True) / qmax).clamp(min=1e-8)
    codes = (blocks / scale).round().clamp(-qmax - 1, qmax)
    return (codes.float() * scale.half().float()).to(x.dtype).flatten(1, 2)


@pytest.mark.parametrize(("method", "old_bits"), [("AGE_TIER_INT2", 2), ("AGE_TIER_INT4", 4)])
def test_reconstruct_is_the_study_s_loop(registry, method, old_bits):
    """The newest 30 % of the allocation, filled or not (D8), and all of it coded again."""
    inputs = Inputs.make(GEOMETRY, chunks=CHUNKS)
    session = open_session(integrate(registry.policy(method), "reconstruct"), inputs)
    dense = torch.zeros(2, 1, TOKENS, 2, 8).bfloat16()
    for chunk in range(CHUNKS):
        for step in inputs.steps(chunk):
            _, k, v = inputs.at(0, step)
            run_pass(session, inputs, step)
            dense[0, :, step.start : step.stop] = k
            dense[1, :, step.start : step.stop] = v
            old = TOKENS - max(1, round(0.3 * TOKENS))
            for x in dense:
                x[:, :old], x[:, old:] = sym(x[:, :old], old_bits), sym(x[:, old:], 4)
        content = session.layers[0].materialise(TOKENS)
        assert torch.equal(torch.stack([content.k, content.v]), dense)


def test_the_newest_chunk_gets_the_newest_codec(registry):
    """D8: in the study that held only once the allocation was nearly full."""
    errors = {}
    for integration in ("streaming", "reconstruct"):
        inputs = Inputs.make(GEOMETRY, chunks=CHUNKS)
        policy = integrate(registry.policy("AGE_TIER_INT2"), integration)
        contents = play(policy, inputs).contents
        size = GEOMETRY.tokens_per_chunk
        errors[integration] = [
            (content[0].k[:, -size:].float() - clean.float()).norm() / clean.float().norm()
            for content, clean in zip(contents, inputs.k[0].split(size, dim=1), strict=True)
        ]
    assert all(error < 0.2 for error in errors["streaming"][3:])
    assert all(error > 0.4 for error in errors["reconstruct"][:5])
    assert errors["reconstruct"][-1] < 0.2


@pytest.mark.parametrize(
    ("method", "published"),
    [("AGE_TIER_INT2", 4.4145), ("AGE_TIER_INT4", 3.1843), ("TPTQ_INT2", 2.7166)],
)
def test_ratio_is_the_published_one_without_index_lists(registry, method, published):
    policy = registry.policy(method)
    ratio = footprint(policy, registry.backend("wan-1.3b"), 42).compression_ratio
    assert published <= ratio < 1.01 * published


def test_presets_are_the_study_s_families(registry):
    families = {n: entry.spec.family for n, entry in registry.all(PolicySpec).items()}
    ours = {n: f for n, f in families.items() if f in ("AGE_TIER", "TPTQ")}
    assert ours == {"AGE_TIER_INT2": "AGE_TIER", "AGE_TIER_INT4": "AGE_TIER", "TPTQ_INT2": "TPTQ"}
    assert set(ours) <= set(registry.select(["study"]))


def test_parameters_can_be_replaced(registry):
    assert registry.policy("AGE_TIER_INT2(share=0.25)").tiering.share == 0.25
