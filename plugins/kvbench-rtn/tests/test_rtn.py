"""The part, the presets, and what streaming keeps of a rollout."""

from __future__ import annotations

import pytest
import torch
from attrs import evolve

from kvbench_core.budget import footprint
from kvbench_core.conformance.inputs import Inputs
from kvbench_core.conformance.rollout import coded, open_session, run_pass
from kvbench_core.errors import KvbenchError
from kvbench_core.geometry import CacheGeometry
from kvbench_core.registry import build_registry
from kvbench_core.specs import PolicySpec
from kvbench_quant import Symmetric
from kvbench_rtn.codec import Rtn

SMALL = CacheGeometry(layers=1, heads=2, head_dim=8, grid=(2, 4), chunk_frames=3)  # 24 tokens


@pytest.fixture(scope="module")
def registry():
    return build_registry()


def rollout(policy, chunks, passes=2):
    """A session after some chunks, and what it was given; one more chunk is to come."""
    inputs = evolve(Inputs.make(SMALL, chunks=chunks + 1), passes=passes)
    session = open_session(policy, inputs)
    for chunk in range(chunks):
        for step in inputs.steps(chunk):
            run_pass(session, inputs, step)
    return session, inputs


def kept(session, inputs, chunks):
    """What is stored of K and V after some chunks, and the clean K and V themselves."""
    tokens = 24 * chunks
    content = session.layers[0].materialise(tokens)
    return (content.k, content.v), (inputs.k[0][:, :tokens], inputs.v[0][:, :tokens])


@pytest.mark.parametrize(
    ("name", "ratio"),
    [
        ("RTN_INT2", 5.333),
        ("RTN_INT4", 3.200),
        ("RTN_K2_V4", 4.000),
        ("RTN_INT4_RECENT2", 2.435),
        ("RTN_INT4_REFRESH", 3.200),
    ],
)
def test_ratio_is_the_published_one(registry, name, ratio):
    """From bytes held on the meta device at the published geometry."""
    pytest.importorskip("kvbench_selfforcing_wan")
    found = footprint(registry.policy(name), registry.backend("wan-1.3b"), 42)
    assert found.compression_ratio == pytest.approx(ratio, rel=5e-4)


def test_presets_are_the_study_s_family(registry):
    names = [n for n, entry in registry.all(PolicySpec).items() if entry.spec.family == "RTN"]
    assert names == ["RTN_INT2", "RTN_INT4", "RTN_K2_V4", "RTN_INT4_RECENT2", "RTN_INT4_REFRESH"]
    assert set(names) <= set(registry.select(["study"]))
    assert registry.policy("RTN_K2_V4").codec.key.bits == 2
    assert registry.policy("RTN_K2_V4").codec.value.bits == 4
    assert registry.policy("RTN_INT4_RECENT2") == registry.policy("rtn(4)+recent(2)")


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("rtn(bits=5)", "rtn: bits must be one of 2, 3, 4, 8; got 5"),
        ("rtn(bits='4')", "rtn: bits must be one of 2, 3, 4, 8; got '4'"),
        ("rtn(bits=4.0)", "rtn: bits must be one of 2, 3, 4, 8; got 4.0"),
        ("rtn(bits=None)", "rtn: bits must be one of 2, 3, 4, 8; got None"),
        ("rtn(key_bits=True)", "rtn: key_bits must be one of 2, 3, 4, 8; got True"),
        ("rtn(value_bits=0)", "rtn: value_bits must be one of 2, 3, 4, 8; got 0"),
        ("rtn(group_tokens=12)", "rtn: group_tokens must be a positive multiple of 8; got 12"),
        ("rtn(group_tokens=0)", "rtn: group_tokens must be a positive multiple of 8; got 0"),
        ("RTN_INT4(bits=6)", "rtn: bits must be one of 2, 3, 4, 8; got 6"),
    ],
)
def test_bad_parameters_are_one_sentence(registry, expression, message):
    with pytest.raises(KvbenchError) as caught:
        registry.policy(expression)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("part", "key_bits", "value_bits"),
    [
        (Rtn(), 4, 4),
        (Rtn(bits=2), 2, 2),
        (Rtn(key_bits=2), 2, 4),
        (Rtn(bits=8, value_bits=3), 8, 3),
    ],
)
def test_bits_of_keys_and_values(part, key_bits, value_bits):
    assert (part.key, part.value) == (Symmetric(bits=key_bits), Symmetric(bits=value_bits))


@pytest.mark.parametrize("chunks", range(1, 6))
@pytest.mark.parametrize("expression", ["rtn(2)", "rtn(key_bits=2, value_bits=4)"])
def test_streaming_keeps_the_clean_tokens_coded(registry, expression, chunks):
    """Whole groups coded as one run would be; at most 15 tokens wait unchanged."""
    codec = registry.policy(expression).codec
    have, clean = kept(*rollout(registry.policy(expression), chunks), chunks)
    whole = chunks * 24 // 16 * 16
    for here, want, coder in zip(have, clean, (codec.key, codec.value), strict=True):
        assert torch.equal(here[:, :whole], coded(Symmetric(bits=coder.bits), want[:, :whole]))
        assert torch.equal(here[:, whole:], want[:, whole:])


def test_streaming_codes_each_token_once(registry, monkeypatch):
    lengths = []
    encode_groups = Symmetric.encode_groups

    def spy(self, groups):
        lengths.append(groups.shape[1] * groups.shape[2])
        return encode_groups(self, groups)

    monkeypatch.setattr(Symmetric, "encode_groups", spy)
    rollout(registry.policy("RTN_INT4"), 6)
    assert sum(lengths) == 2 * 6 * 24


@pytest.mark.parametrize("blocks", [1, 2, 3])
@pytest.mark.parametrize("chunks", [1, 2, 3, 4, 6, 7])
def test_recent_window(registry, blocks, chunks):
    """After a clean pass ``blocks`` chunks are exact; the next chunk then takes one's place."""
    session, inputs = rollout(registry.policy(f"rtn(2)+recent({blocks})"), chunks)
    noisy, _ = inputs.steps(chunks)
    for exact in (blocks, blocks - 1):
        (have, _), (clean, _) = kept(session, inputs, chunks)
        old = max(0, chunks - exact) * 24 // 16 * 16  # whole groups: up to 15 tokens stay behind
        assert torch.equal(have[:, :old], coded(Symmetric(bits=2), clean[:, :old]))
        assert torch.equal(have[:, old:], clean[:, old:])
        run_pass(session, inputs, noisy)


def test_noisy_passes_leave_nothing_behind(registry):
    policy = registry.policy("RTN_INT4_RECENT2")
    (once, inputs), (often, _) = rollout(policy, 3), rollout(policy, 3, passes=5)
    for a, b in zip(kept(once, inputs, 3)[0], kept(often, inputs, 3)[0], strict=True):
        assert torch.equal(a, b)
    assert once.stored_bytes() == often.stored_bytes()
