"""The part, the presets, and what streaming keeps of a rollout."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from kvbench_core.errors import KvbenchError
from kvbench_core.geometry import CacheGeometry, Step
from kvbench_core.registry import build_registry
from kvbench_core.session import CacheSession
from kvbench_core.specs import PolicySpec
from kvbench_quant import Symmetric
from kvbench_rtn.codec import Rtn

WAN = CacheGeometry(
    layers=1, heads=12, head_dim=128, grid=(30, 52), chunk_frames=3, window_frames=21
)
SMALL = CacheGeometry(layers=1, heads=2, head_dim=8, grid=(2, 4), chunk_frames=3)  # 24 tokens


@pytest.fixture(scope="module")
def registry():
    return build_registry()


class Rollout:
    """Chunk by chunk through one session; remembers the clean K and V."""

    def __init__(self, policy, geometry, device="cpu", planned_frames=None):
        self.geometry = geometry
        self.session = CacheSession(
            policy, geometry, device=device, kernel="auto", planned_frames=planned_frames
        )
        self.k, self.v = [], []

    def run_pass(self, chunk, is_context, seed=0):
        geometry = self.geometry
        shape = (geometry.batch, geometry.tokens_per_chunk, geometry.heads, geometry.head_dim)
        if self.session.context.device.type == "meta":
            q = k = v = torch.empty(shape, device="meta", dtype=torch.bfloat16)
        else:
            generator = torch.Generator().manual_seed(100 * chunk + 10 * seed + is_context)
            q, k, v = torch.randn((3, *shape), generator=generator).bfloat16()
        step = Step(
            geometry=geometry,
            chunk=chunk,
            denoise_index=1 if is_context else 0,
            is_context=is_context,
            start_frame=chunk * geometry.chunk_frames,
            frames=geometry.chunk_frames,
        )
        self.session.begin_pass(step)
        self.session.attend(0, q, k, v)
        if is_context:
            self.k.append(k)
            self.v.append(v)

    def run(self, chunks):
        for chunk in range(chunks):
            self.run_pass(chunk, is_context=False)
            self.run_pass(chunk, is_context=True)
        return self

    def kept(self):
        """What is stored of K and V so far, and the clean K and V themselves."""
        tokens = len(self.k) * self.geometry.tokens_per_chunk
        content = self.session.layers[0].materialise(tokens)
        return (content.k, content.v), (torch.cat(self.k, 1), torch.cat(self.v, 1))


def coded(x, bits, group_tokens=16):
    codec, out = Symmetric(bits=bits, group_tokens=group_tokens), torch.empty_like(x)
    codec.decode(codec.encode(x), out)
    return out


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
def test_published_ratio_from_held_bytes(registry, name, ratio):
    rollout = Rollout(registry.policy(name), WAN, device="meta", planned_frames=42)
    for chunk in range(14):
        rollout.run_pass(chunk, is_context=True)
    assert WAN.dense_bytes(42) / rollout.session.stored_bytes() == pytest.approx(ratio, rel=5e-4)


def test_presets_are_the_study_s_family(registry):
    names = [n for n, entry in registry.all(PolicySpec).items() if entry.spec.family == "RTN"]
    assert names == ["RTN_INT2", "RTN_INT4", "RTN_K2_V4", "RTN_INT4_RECENT2", "RTN_INT4_REFRESH"]
    assert set(names) <= set(registry.select(["study"]))
    assert registry.policy("RTN_K2_V4").codec.key.bits == 2
    assert registry.policy("RTN_K2_V4").codec.value.bits == 4
    assert registry.policy("RTN_INT4_RECENT2") == registry.policy("rtn(4)+recent(2)")


def test_listing_does_not_import_torch():
    check = "import kvbench_rtn, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0


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
    policy = registry.policy(expression)
    kept, clean = Rollout(policy, SMALL).run(chunks).kept()
    whole = chunks * 24 // 16 * 16
    for have, want, codec in zip(kept, clean, (policy.codec.key, policy.codec.value), strict=True):
        assert torch.equal(have[:, :whole], coded(want[:, :whole], codec.bits))
        assert torch.equal(have[:, whole:], want[:, whole:])


def test_streaming_codes_each_token_once(registry, monkeypatch):
    lengths = []
    encode_groups = Symmetric.encode_groups

    def spy(self, groups):
        lengths.append(groups.shape[1] * groups.shape[2])
        return encode_groups(self, groups)

    monkeypatch.setattr(Symmetric, "encode_groups", spy)
    Rollout(registry.policy("RTN_INT4"), SMALL).run(6)
    assert sum(lengths) == 2 * 6 * 24


@pytest.mark.parametrize("blocks", [1, 2, 3])
@pytest.mark.parametrize("chunks", [1, 2, 3, 4, 6, 7])
def test_recent_window(registry, blocks, chunks):
    """After a clean pass ``blocks`` chunks are exact; the next chunk then takes one's place."""
    rollout = Rollout(registry.policy(f"rtn(2)+recent({blocks})"), SMALL).run(chunks)
    for exact in (blocks, blocks - 1):
        (kept, _), (clean, _) = rollout.kept()
        old = max(0, chunks - exact) * 24 // 16 * 16  # whole groups: up to 15 tokens stay behind
        assert torch.equal(kept[:, :old], coded(clean[:, :old], 2))
        assert torch.equal(kept[:, old:], clean[:, old:])
        rollout.run_pass(chunks, is_context=False)


def test_noisy_passes_leave_nothing_behind(registry):
    once = Rollout(registry.policy("RTN_INT4_RECENT2"), SMALL).run(3)
    twice = Rollout(registry.policy("RTN_INT4_RECENT2"), SMALL)
    for chunk in range(3):
        for seed in range(4):
            twice.run_pass(chunk, is_context=False, seed=seed)
        twice.run_pass(chunk, is_context=True)
    for a, b in zip(once.kept()[0], twice.kept()[0], strict=True):
        assert torch.equal(a, b)
    assert once.session.stored_bytes() == twice.session.stored_bytes()
