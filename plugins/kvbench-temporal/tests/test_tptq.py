"""TPTQ_INT2: residual coding of old tokens, key outliers, and the study's rule beside ours."""

from __future__ import annotations

import pytest
import torch
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from kvbench_core.conformance.inputs import PLAIN, Inputs, outlier_channel
from kvbench_core.conformance.rollout import coded, open_session, play, run_pass
from kvbench_core.errors import KvbenchError
from kvbench_core.geometry import CacheGeometry
from kvbench_core.integration import integrate
from kvbench_core.registry import build_registry
from kvbench_quant import Symmetric
from kvbench_temporal.outliers import KeyOutliers, PublishedOutliers

# 320 tokens in all, so that both tiers are whole groups of 16, as the study's padding made them.
GEOMETRY = CacheGeometry(layers=1, heads=2, head_dim=8, grid=(4, 5), chunk_frames=2)
CHUNKS, TOKENS, RECENT = 8, 320, 48


@pytest.fixture(scope="module")
def registry():
    return build_registry()


def sym(x, bits):
    """SYM(bits) over blocks of 16 tokens, decoded in float32."""
    qmax = 2 ** (bits - 1) - 1
    blocks = x.unflatten(1, (-1, 16))
    scale = (blocks.abs().amax(2, keepdim=True) / qmax).clamp(min=1e-8)
    codes = (blocks / scale).round().clamp(-qmax - 1, qmax)
    return (codes.float() * scale.half().float()).flatten(1, 2)


def two_stages(x):
    """PRQ with 2 and 2 bits."""
    first = sym(x, 2)
    return first + sym(x.float() - first, 2)


def study_outliers(x, threshold, max_share):
    """Indices of the outliers among all elements, as the study chose them."""
    flat = x.flatten().double()
    sigma = flat.std(correction=0).item()
    found = [i for i, value in enumerate(flat.tolist()) if abs(value) > threshold * sigma]
    most = int(max_share * flat.numel())
    return sorted(found, key=lambda i: -abs(flat[i].item()))[:most]


def rollout(seed=0):
    """Gaussian K and V with some keys far out, each of a magnitude of its own."""
    inputs = Inputs.make(GEOMETRY, seed=seed, chunks=CHUNKS)
    k = inputs.k[0].flatten()
    far = torch.randperm(k.numel(), generator=torch.Generator().manual_seed(seed))[:12]
    k[far] = torch.linspace(20, 80, 12).bfloat16() * (1 - 2 * (far % 2))
    return inputs


def test_reconstruct_with_the_published_rule_is_the_study_s_loop(registry):
    """The newest 15 % of the allocation (D8), sigma over padding (D7), outliers coded as well."""
    policy = registry.policy("TPTQ_INT2(rule='published')")
    inputs = rollout()
    session = open_session(integrate(policy, "reconstruct"), inputs)
    dense = torch.zeros(2, 1, TOKENS, 2, 8).bfloat16()
    stored = 0
    for chunk in range(CHUNKS):
        for step in inputs.steps(chunk):
            _, k, v = inputs.at(0, step)
            run_pass(session, inputs, step)
            dense[0, :, step.start : step.stop] = k
            dense[1, :, step.start : step.stop] = v
            old = TOKENS - RECENT
            far = study_outliers(dense[0, :, :old], 6.0, 0.001)
            stored += len(far)
            apart = dense[0, :, :old].flatten()[far].half().bfloat16()
            for x in dense:
                x[:, :old], x[:, old:] = two_stages(x[:, :old]), sym(x[:, old:], 4)
            dense[0].view(-1)[far] = apart
        content = session.layers[0].materialise(TOKENS)
        assert torch.equal(torch.stack([content.k, content.v]), dense)
    assert stored > 0


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 99),
    batch=st.integers(1, 2),
    groups=st.integers(1, 4),
    threshold=st.sampled_from([1.5, 3.0, 6.0]),
    max_share=st.sampled_from([0.001, 0.01, 1.0]),
)
def test_the_published_rule_stores_what_the_study_stored(seed, batch, groups, threshold, max_share):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(batch, 16 * groups, 2, 8, generator=generator) ** 3
    codec = PublishedOutliers(Symmetric(bits=2), threshold, max_share)
    for video, want, have in zip(x, sym(x, 2), coded(codec, x), strict=True):
        far = study_outliers(video, threshold, max_share)
        want.view(-1)[far] = video.flatten()[far].half().float()
        torch.testing.assert_close(have, want)


def test_values_are_left_to_the_inner_codec(registry):
    part = registry.policy("key_outliers(inner=rtn(bits=2))").codec
    assert isinstance(part, KeyOutliers)
    assert part.value == Symmetric(bits=2)


def errors(registry, method, inputs):
    """Relative error of the keys that are no outliers, at the end of a rollout."""
    content = play(registry.policy(method), inputs).contents[-1][0].k.float()
    clean = inputs.k[0].float()
    inlier = clean.abs() < 10
    return ((content - clean)[inlier].norm() / clean[inlier].norm()).item()


def test_outliers_that_are_coded_cost_their_neighbours_precision(registry):
    """D16: the study's inner codec saw them, and its scales had to reach that far."""
    method = "key_outliers(inner=rtn(bits=4), threshold=3, max_share=0.01, rule='{}')"
    apart, inside = (errors(registry, method.format(r), rollout()) for r in ("apart", "published"))
    assert apart < 0.12
    assert inside == pytest.approx(errors(registry, "rtn(bits=4)", rollout()))
    assert inside > 1.5 * apart


def test_outliers_are_kept_to_fp16(registry):
    inputs = rollout()
    content = play(registry.policy("key_outliers(inner=rtn(bits=2), max_share=None)"), inputs)
    kept, clean = content.contents[-1][0].k, inputs.k[0]
    far = clean.abs() > 19
    assert torch.equal(kept[far], clean[far].half().bfloat16())


def test_bytes_grow_with_the_outliers(registry):
    geometry = evolve(PLAIN, layers=1)
    plain, wild = (
        play(registry.policy("TPTQ_INT2(max_share=1.0)"), inputs).stored_bytes[-1]
        for inputs in (
            Inputs.make(geometry),
            Inputs.make(geometry, distribution=outlier_channel),
        )
    )
    assert wild > plain
    assert not registry.policy("TPTQ_INT2").promise().fixed_bytes


def test_parameters_of_the_published_run(registry):
    policy = registry.policy("TPTQ_INT2")
    assert (policy.codec.threshold, policy.codec.max_share) == (6.0, 0.001)
    assert policy.tiering.share == 0.15
    assert policy.tiering.newest.bits == 4
    assert policy.codec.value == policy.codec.inner.value


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("max_share=0", "max_share must be a fraction in (0, 1]; got 0"),
        ("threshold=1", "threshold must be a number greater than 1; got 1"),
        ("rule='best'", "rule must be one of apart, published; got 'best'"),
    ],
)
def test_bad_parameters_are_one_sentence(registry, arguments, message):
    with pytest.raises(KvbenchError) as caught:
        registry.policy(f"TPTQ_INT2({arguments})")
    assert str(caught.value) == f"key_outliers: {message}"
