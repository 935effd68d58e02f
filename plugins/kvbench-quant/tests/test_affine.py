"""Asymmetric quantisation against the formulas, worked out number by number."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kvbench_quant import Affine, ClampedAffine, ZeroPointAffine, asymmetric, unpack

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}
STEP = {"bf16": 2**-8, "fp16": 2**-11, "fp32": 2**-11}  # an fp16 rounding, or the output's own


def rounded(value, kind):
    """``value`` to the nearest number of a format, ties to even, without torch."""
    single = np.float32(value)
    if kind == "fp32":
        return float(single)
    if kind == "fp16":
        with np.errstate(over="ignore"):
            return float(single.astype(np.float16))
    word = int(single.view(np.uint32))
    word = (word + 0x7FFF + (word >> 16 & 1)) & 0xFFFF0000
    return float(np.uint32(word).view(np.float32))


def exact(values, bits, kind):
    """Codes, stored scale, stored minimum and decoded values of one block."""
    qmax = 2**bits - 1
    low = np.float32(rounded(min(values), "fp16"))
    spread = np.float32(max(np.float32(max(values)) - low, 0))
    scale = np.float32(rounded(spread / np.float32(qmax), "fp16"))
    codes = [
        max(0, min(qmax, round(float((np.float32(x) - low) / scale)))) if scale else 0
        for x in values
    ]
    return codes, float(scale), float(low), [float(low) + code * float(scale) for code in codes]


def clamped(values, bits, kind):
    """The study's: every operation is rounded to the input's format."""
    qmax = 2**bits - 1
    spread = rounded(np.float32(max(values)) - np.float32(min(values)), kind)
    floor = rounded(1e-8, kind) or 2**-24
    scale = max(rounded(np.float32(spread) / np.float32(qmax), kind), floor)
    zero = rounded(np.float32(-min(values)) / np.float32(scale), kind)
    zero = round(max(0.0, min(float(qmax), zero)))
    codes = []
    for x in values:
        level = rounded(np.float32(x) / np.float32(scale), kind)
        level = rounded(np.float32(level) + np.float32(zero), kind)
        codes.append(round(max(0.0, min(float(qmax), level))))
    scale = rounded(scale, "fp16")
    return codes, scale, float(zero), [(code - zero) * scale for code in codes]


def with_zero(values, bits, kind):
    """Zero is a level: codes, stored scale, zero point and decoded values of one block."""
    qmax = 2**bits - 1
    low, high = np.float32(min(*values, 0.0)), np.float32(max(*values, 0.0))
    scale = np.float32(rounded((high - low) / np.float32(qmax), "fp16"))
    zero = min(qmax, round(float(-low / scale))) if scale else round(float(-low))
    codes = [
        round(max(0.0, min(float(qmax), float(np.float32(x) / (scale or 1) + np.float32(zero)))))
        for x in values
    ]
    return codes, float(scale), float(zero), [(code - zero) * float(scale) for code in codes]


CODERS = {
    "minimum": (Affine, exact),
    "zero": (ZeroPointAffine, with_zero),
    "clamped": (ClampedAffine, clamped),
}


def blocks(per, tokens, heads, dim, group):
    """Index of every block: a channel of a group's tokens, or all channels of a token."""
    if per == "token":
        return [(t, slice(None), slice(None)) for t in range(tokens)]
    return [
        (slice(first, min(first + group, tokens)), h, d)
        for first in range(0, tokens, group)
        for h in range(heads)
        for d in range(dim)
    ]


def stored(planes, codec, tokens):
    """Codes, scale and offset of every element, ``[batch, token, head, dim]``."""
    codes = unpack(planes.codes, codec.bits).int() // 2 ** (8 - codec.bits)
    scale, offset = (x.float().expand(codes.shape) for x in (planes.scale, planes.offset))
    return [x.flatten(1, 2)[:, :tokens] for x in (codes, scale, offset)]


def decoded(codec, x, dtype=None):
    out = torch.empty_like(x, dtype=dtype or x.dtype)
    codec.decode(codec.encode(x), out)
    return out


def sample(shape, seed, offset, exponent, kind):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(shape, generator=generator) + offset * torch.randn(
        (1, 1, *shape[2:]), generator=generator
    )
    return (x * 4.0**exponent).to(DTYPES[kind])


@settings(deadline=None, max_examples=150)
@given(
    zero_point=st.sampled_from(sorted(CODERS)),
    per=st.sampled_from(["channel", "token"]),
    batch=st.integers(1, 2),
    tokens=st.integers(1, 40),
    bits=st.sampled_from([2, 3, 4, 8]),
    group=st.sampled_from([8, 16, 24]),
    kind=st.sampled_from(sorted(DTYPES)),
    offset=st.sampled_from([0.0, 3.0, 100.0]),
    exponent=st.integers(-8, 3),
    seed=st.integers(0, 999),
)
def test_codes_and_values_equal_the_formula(
    zero_point, per, batch, tokens, bits, group, kind, offset, exponent, seed
):
    cls, oracle = CODERS[zero_point]
    codec = cls(bits=bits, group_tokens=group, per=per)
    x = sample((batch, tokens, 2, 3), seed, offset, exponent, kind)
    codes, scales, offsets = stored(codec.encode(x), codec, tokens)
    out = decoded(codec, x)
    for video in range(batch):
        for where in blocks(per, tokens, 2, 3, group):
            at = (video, *where)
            values = x[at].flatten().tolist()
            expected, scale, low, values = oracle(values, bits, kind)
            assert codes[at].flatten().tolist() == expected
            assert set(scales[at].flatten().tolist()) == {scale}
            assert set(offsets[at].flatten().tolist()) == {low}
            largest = max(map(abs, values))
            assert out[at].flatten().tolist() == pytest.approx(
                values, rel=STEP[kind], abs=largest * 2**-20
            )


@pytest.mark.parametrize("per", ["channel", "token"])
@pytest.mark.parametrize("bits", [2, 3, 4, 8])
@pytest.mark.parametrize("value", [2.5, -40.25, 1000.7, 1e-5, 0.0, 6e4])
@pytest.mark.parametrize("kind", sorted(DTYPES))
def test_equal_values_come_back(per, bits, value, kind):
    x = torch.full((1, 20, 2, 4), value, dtype=DTYPES[kind])
    expected = x.half().to(x.dtype)
    torch.testing.assert_close(
        decoded(Affine(bits=bits, per=per), x), expected, rtol=2**-11, atol=2**-25
    )


@pytest.mark.parametrize("value", [2.5, -40.25, 1000.7, 0.0])
def test_equal_values_come_back_with_a_level_at_zero(value):
    x = torch.full((1, 20, 2, 4), value)
    torch.testing.assert_close(decoded(ZeroPointAffine(), x), x, rtol=2**-11, atol=0)


def test_the_study_s_zero_point_loses_what_lies_far_from_zero():
    """The worked examples of known defect D2."""
    coder = ClampedAffine(bits=4)
    x = torch.linspace(5, 6, 16).bfloat16().view(1, 16, 1, 1)
    once = decoded(coder, x)
    assert once.unique().tolist() == [1.0]
    assert not decoded(coder, once).any()
    assert not decoded(coder, torch.full_like(x, 2.5)).any()
    assert (decoded(Affine(bits=4), x) - x).abs().max() <= 1 / 30 + 2**-6


@settings(deadline=None, max_examples=300)
@given(
    zero_point=st.sampled_from(sorted(CODERS)),
    per=st.sampled_from(["channel", "token"]),
    bits=st.sampled_from([2, 3, 4, 8]),
    group=st.sampled_from([8, 16, 40]),
    kind=st.sampled_from(sorted(DTYPES)),
    log=st.floats(-12, 38),
    spread=st.floats(0, 6),
    offset=st.sampled_from([0.0, 1.0, 30.0]),
    seed=st.integers(0, 999),
)
def test_the_error_bound_holds_and_nothing_overflows(
    zero_point, per, bits, group, kind, log, spread, offset, seed
):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn((1, 3 * group, 2, 4), generator=generator, dtype=torch.float64)
    x = x * torch.exp(spread * torch.randn(x.shape, generator=generator, dtype=torch.float64))
    limit = torch.finfo(DTYPES[kind]).max
    x = ((x + offset) * 10**log).clamp(-limit, limit).to(DTYPES[kind])
    codec = CODERS[zero_point][0](bits=bits, group_tokens=group, per=per)
    out = decoded(codec, x)
    assert out.isfinite().all()
    assert_within(codec.error_bound(), x, out)
    if kind == "fp32":
        assert_within(codec.error_bound(), x, decoded(codec, x, torch.bfloat16))


def assert_within(bound, x, out):
    x, out = x.double(), out.double()
    peak = x.abs().max()
    if peak <= bound.largest:
        each = bound.absolute + bound.peak * peak
        assert (out - x).norm() <= bound.relative * x.norm() + each * math.sqrt(x.numel())


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_the_worst_channel_comes_close_to_the_bound(bits):
    """One value at either end, the rest in the middle between two levels."""
    x = torch.zeros(1, 16, 1, 1)
    x[0, :2, 0, 0] = torch.tensor([-1.0, 1.0])
    relative = ((decoded(Affine(bits=bits), x) - x).norm() / x.norm()).item()
    bound = Affine(bits=bits).error_bound().relative
    assert bound - 2**-6 < relative <= bound


def test_two_bits_promise_something():
    assert Affine(bits=2).error_bound().relative < 1
    for cls in (Affine, ZeroPointAffine):
        assert cls(bits=2, per="token").error_bound().peak < 1


@pytest.mark.parametrize("bits", [2, 4])
def test_small_values_beside_a_loud_channel_are_no_worse_than_zeros(bits):
    """What a level at zero is for: a minimum's levels may lie far from the many small values."""
    x = sample((1, 16, 2, 64), 0, 0.0, 0, "fp32")
    x[..., 3] *= 100
    with_level, without = (cls(bits=bits, per="token") for cls in (ZeroPointAffine, Affine))
    assert (decoded(with_level, x) - x).norm() < 0.3 * x.norm()
    assert ((decoded(with_level, x) - x).abs() <= x.abs() * 1.01).all()
    assert (decoded(without, x) - x).norm() > 2 * (decoded(with_level, x) - x).norm()


def test_the_coder_of_keys_and_of_values():
    assert asymmetric("channel", "exact", bits=2) == Affine(bits=2)
    assert asymmetric("token", "exact", bits=3) == ZeroPointAffine(bits=3, per="token")
    for per in ("channel", "token"):
        assert asymmetric(per, "clamped", group_tokens=8) == ClampedAffine(per=per, group_tokens=8)


@settings(deadline=None, max_examples=40)
@given(
    lengths=st.lists(st.integers(1, 3), min_size=1, max_size=4),
    stop=st.integers(1, 100),
    bits=st.sampled_from([2, 3, 4, 8]),
    per=st.sampled_from(["channel", "token"]),
    container=st.sampled_from([None, 8, 16]),
)
def test_joined_groups_decode_like_one_run(lengths, stop, bits, per, container):
    """Also into a buffer that ends inside a group and is a slice of a larger one."""
    codec = Affine(bits=bits, per=per, container_bits=container)
    x = sample((2, 16 * sum(lengths), 2, 3), 5, 3.0, 0, "bf16")
    first, *pieces = x.split([16 * length for length in lengths], dim=1)
    planes = codec.encode(first)
    for piece in pieces:
        planes = planes.join(codec.encode(piece))
    expected = decoded(codec, x)
    stop = min(stop, x.shape[1])
    buffer = torch.full((2, stop + 2, 2, 3), 9.0, dtype=torch.bfloat16)
    codec.decode(planes, buffer[:, 1:-1])
    assert torch.equal(buffer[:, 1:-1], expected[:, :stop])
    assert (buffer[:, [0, -1]] == 9).all()


def test_a_last_group_that_is_not_full_is_coded_as_it_is():
    """No padding widens its range: five tokens near 100 keep the resolution of their own spread."""
    x = 100 + torch.rand(1, 21, 2, 3, generator=torch.Generator().manual_seed(0))
    assert (decoded(Affine(bits=4), x) - x).abs().max() < 1 / 30 + 0.05


def test_encode_leaves_its_argument_alone():
    for dtype in DTYPES.values():
        for cls in (Affine, ZeroPointAffine, ClampedAffine):
            x = sample((1, 16, 2, 3), 0, 3.0, 0, "fp32").to(dtype)
            before = x.clone()
            cls().encode(x)
            assert torch.equal(x, before)


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
@pytest.mark.parametrize(("per", "extra"), [("channel", 160 // 16 * 2 * 8 * 4), ("token", 160 * 4)])
def test_stored_bytes(bits, per, extra):
    planes = Affine(bits=bits, per=per).encode(torch.empty(1, 160, 2, 8, device="meta"))
    held = sum(plane.untyped_storage().nbytes() for plane in planes.tensors())
    assert held == 160 * 2 * 8 * bits // 8 + extra
