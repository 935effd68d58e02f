"""The parts and their presets; ``qaq`` against its formula, number by number."""

from __future__ import annotations

from statistics import fmean, pstdev

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kvbench_core.budget import footprint
from kvbench_core.conformance.inputs import PLAIN, Inputs
from kvbench_core.conformance.policy_bytes import BytesClauses
from kvbench_core.conformance.rollout import coded, play
from kvbench_core.errors import KvbenchError
from kvbench_core.registry import build_registry
from kvbench_core.specs import PolicySpec
from kvbench_quant import ClampedAffine, Outliers, Residual, Symmetric, ZeroPointAffine
from kvbench_residual.prq import Prq
from kvbench_residual.qaq import Qaq


@pytest.fixture(scope="module")
def registry():
    return build_registry()


def heavy_tailed(shape, seed=0):
    """Gaussian; two values in a thousand are 20 times as large."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(shape, generator=generator)
    x[torch.rand(shape, generator=generator) < 0.002] *= 20
    return x.bfloat16()


@pytest.mark.parametrize(
    ("name", "published", "fixed"),
    [
        ("PRQ_INT2", 2.0, True),
        ("PRQ_INT4", 1.6, True),
        ("QAQ_INT2", 5.3149, False),
        ("QAQ_INT4", 3.1933, False),
    ],
)
def test_ratio_is_the_published_one(registry, name, published, fixed):
    """From bytes held on the meta device at the published geometry; QAQ without outliers."""
    pytest.importorskip("kvbench_selfforcing_wan")
    policy = registry.policy(name)
    found = footprint(policy, registry.backend("wan-1.3b"), 42)
    assert found.compression_ratio == pytest.approx(published, rel=5e-4)
    assert policy.promise().fixed_bytes is policy.promise().chunk_invariant is fixed


def test_an_outlier_takes_four_bytes(registry):
    """The study's took six."""
    x = heavy_tailed((1, 64, 12, 128))
    for codec in (registry.policy("QAQ_INT2").codec.key, registry.policy("QAQ_INT2").codec.value):
        planes = codec.encode(x)
        held = {
            name: getattr(planes.outliers, name).nbytes for name in ("counts", "place", "value")
        }
        assert held["place"] == held["value"] == 2 * len(planes.outliers.value) > 0
        assert held["counts"] == 2 * 4
        assert len(planes.outliers.value) < x.numel() / 36


def test_presets_are_the_study_s_families(registry):
    entries = registry.all(PolicySpec).items()
    names = {
        family: [name for name, entry in entries if entry.spec.family == family]
        for family in ("PRQ", "QAQ")
    }
    assert names == {"PRQ": ["PRQ_INT2", "PRQ_INT4"], "QAQ": ["QAQ_INT2", "QAQ_INT4"]}
    assert {*names["PRQ"], *names["QAQ"]} <= set(registry.select(["study"]))
    first, second = Symmetric(bits=2), Symmetric(bits=4)
    assert registry.policy("PRQ_INT2").codec.key == Residual(first, second)
    assert registry.policy("QAQ_INT2").codec.value == Outliers(ZeroPointAffine(bits=2, per="token"))


def test_parameters_reach_the_coders():
    stage = Symmetric(bits=3, group_tokens=8, container_bits=16)
    assert Prq(3, 3, group_tokens=8, container_bits=16).value == Residual(stage, stage)
    qaq = Qaq(2, 4.0, group_tokens=8, zero_point="clamped", container_bits=8)
    inner = ClampedAffine(bits=2, group_tokens=8, container_bits=8)
    assert qaq.key == Outliers(inner, threshold=4.0)


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("prq(bits=6)", "prq: bits must be one of 2, 3, 4, 8; got 6"),
        ("prq(residual_bits=0)", "prq: residual_bits must be one of 2, 3, 4, 8; got 0"),
        ("prq(group_tokens=4)", "prq: group_tokens must be a positive multiple of 8; got 4"),
        ("prq(container_bits=32)", "prq: container_bits must be one of 8, 16; got 32"),
        ("qaq(bits=1)", "qaq: bits must be one of 2, 3, 4, 8; got 1"),
        ("qaq(threshold=1)", "qaq: threshold must be a number greater than 1; got 1"),
        ("qaq(threshold='6')", "qaq: threshold must be a number greater than 1; got '6'"),
        ("QAQ_INT4(threshold=True)", "qaq: threshold must be a number greater than 1; got True"),
        ("qaq(zero_point=0)", "qaq: zero_point must be one of exact, clamped; got 0"),
    ],
)
def test_bad_parameters_are_one_sentence(registry, expression, message):
    with pytest.raises(KvbenchError) as caught:
        registry.policy(expression)
    assert str(caught.value) == message


def asym_value(values, bits):
    """ASYM(bits) of one token's value: an integer zero point and an fp16 scale, decoded."""
    qmax = 2**bits - 1
    low, high = np.float32(min(*values, 0.0)), np.float32(max(*values, 0.0))
    scale = np.float32(np.float16((high - low) / np.float32(qmax)))
    zero = round(float(-low / scale))
    codes = [float(np.float32(x) / scale + np.float32(zero)) for x in values]
    return [(max(0, min(qmax, round(code))) - zero) * float(scale) for code in codes]


def asym_key(values, bits):
    """ASYM(bits) of one channel of a group of keys: fp16 minimum and scale, decoded."""
    qmax = 2**bits - 1
    low = np.float32(np.float16(min(values)))
    scale = np.float32(np.float16((np.float32(max(values)) - low) / np.float32(qmax)))
    if not scale:
        return [float(low)] * len(values)
    codes = [max(0, min(qmax, round(float((np.float32(x) - low) / scale)))) for x in values]
    return [float(low) + code * float(scale) for code in codes]


def bf16(value):
    return torch.tensor(value, dtype=torch.float64).bfloat16().item()


def qaq(x, bits, threshold, blocks, asym):
    """The formula for one video ``[token, head, dim]``, block by block."""
    values = x.flatten().tolist()
    reach = threshold * pstdev(values)
    low, high = bf16(fmean(values) - reach), bf16(fmean(values) + reach)
    out = torch.empty_like(x, dtype=torch.float64)
    for at in blocks:
        block = x[at].flatten().tolist()
        decoded = asym([min(max(value, low), high) for value in block], bits)
        kept = [v if not low <= v <= high else d for v, d in zip(block, decoded, strict=True)]
        out[at] = torch.tensor(kept, dtype=torch.float64).view(x[at].shape)
    return out


@settings(deadline=None, max_examples=40)
@given(
    batch=st.integers(1, 2),
    tokens=st.integers(1, 40),
    bits=st.sampled_from([2, 3, 4]),
    threshold=st.sampled_from([2.0, 6.0]),
    seed=st.integers(0, 999),
)
def test_qaq_equals_its_formula(batch, tokens, bits, threshold, seed):
    x = heavy_tailed((batch, tokens, 2, 6), seed)
    codec = Qaq(bits, threshold)
    channels = [
        (slice(first, min(first + 16, tokens)), h, d)
        for first in range(0, tokens, 16)
        for h in range(2)
        for d in range(6)
    ]
    token_blocks = [(t, slice(None), slice(None)) for t in range(tokens)]
    for coder, blocks, asym in (
        (codec.key, channels, asym_key),
        (codec.value, token_blocks, asym_value),
    ):
        out = coded(coder, x)
        for video in range(batch):
            expected = qaq(x[video], bits, threshold, blocks, asym)
            torch.testing.assert_close(out[video].double(), expected, rtol=2**-8, atol=1e-6)


def test_outliers_do_not_widen_the_range_of_the_others():
    x = heavy_tailed((1, 160, 12, 128))
    quiet = x.abs() < 6

    def error(codec):
        difference = (coded(codec, x) - x)[quiet].float()
        return (difference.norm() / x[quiet].float().norm()).item()

    assert error(Qaq(4).value) < 0.8 * error(ZeroPointAffine(bits=4, per="token"))


def test_the_threshold_is_that_of_the_chunk_alone(registry):
    """Chunks that differ in loudness are coded as if the others did not exist."""
    loud = Inputs.make(PLAIN, chunks=2)
    loud.k[0][:, : PLAIN.tokens_per_chunk] *= 50
    policy = registry.policy("qaq(threshold=2.0, group_tokens=8)")  # divides a chunk of 72 tokens
    both = play(policy, loud).contents[-1][0].k
    chunks = loud.k[0].split(PLAIN.tokens_per_chunk, dim=1)
    expected = torch.cat([coded(policy.codec.key, chunk) for chunk in chunks], dim=1)
    assert torch.equal(both, expected)


@pytest.mark.parametrize("expression", ["PRQ_INT2(container_bits=8)", "QAQ_INT4(container_bits=8)"])
def test_containers_do_not_pass_as_packed_storage(registry, expression):
    with pytest.raises(AssertionError, match="P4: codes are packed"):
        BytesClauses().test_p4_stored_bits_carry_information(registry.policy(expression))
