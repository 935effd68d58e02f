"""Symmetric quantisation against the formula, worked out number by number."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kvbench_quant import Symmetric, unpack

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}


def rounded(value: float, kind: str) -> float:
    """``value`` to the nearest number of a format, ties to even, without torch."""
    single = np.float32(value)
    if kind == "fp32":
        return float(single)
    if kind == "fp16":
        return float(single.astype(np.float16))
    word = int(single.view(np.uint32))
    word = (word + 0x7FFF + (word >> 16 & 1)) & 0xFFFF0000
    return float(np.uint32(word).view(np.float32))


def code_group(values: list[float], bits: int, kind: str) -> tuple[list[int], float]:
    """SYM(b) of one channel of one group: codes, and the scale before it is stored."""
    qmax = 2 ** (bits - 1) - 1
    floor = rounded(1e-8, kind) or 2**-24  # 1e-8 is no fp16 number, 2^-24 is the smallest
    scale = max(rounded(max(map(abs, values)) / qmax, kind), floor)
    ratios = [rounded(value / scale, kind) for value in values]
    return [max(-qmax, min(qmax, round(ratio))) for ratio in ratios], scale


def stored_codes(planes, bits):
    """``[batch, token, head, dim]`` signed codes."""
    raised = unpack(planes.codes, bits).view(torch.int8).int()
    return raised.div(2 ** (8 - bits), rounding_mode="floor").flatten(1, 2)


def normal(shape, seed, dtype):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator).to(dtype)


@settings(deadline=None, max_examples=200)
@given(
    batch=st.integers(1, 2),
    tokens=st.integers(1, 40),
    bits=st.sampled_from([2, 3, 4, 8]),
    group=st.sampled_from([8, 16, 24]),
    kind=st.sampled_from(sorted(DTYPES)),
    exponent=st.integers(-12, 3),
    seed=st.integers(0, 999),
)
def test_codes_and_values_equal_the_formula(batch, tokens, bits, group, kind, exponent, seed):
    x = (normal((batch, tokens, 2, 3), seed, torch.float32) * 4.0**exponent).to(DTYPES[kind])
    codec = Symmetric(bits=bits, group_tokens=group)
    planes = codec.encode(x)
    out = torch.empty_like(x)
    codec.decode(planes, out)
    codes = stored_codes(planes, bits)
    for b, h, d in np.ndindex(batch, 2, 3):
        for first in range(0, tokens, group):
            values = x[b, first : first + group, h, d].tolist()
            expected, scale = code_group(values, bits, kind)
            assert codes[b, first : first + len(values), h, d].tolist() == expected
            scale = rounded(scale, "fp16")
            assert planes.scale[b, first // group, h, d].item() == scale
            decoded = [rounded(code * scale, kind) for code in expected]
            assert out[b, first : first + group, h, d].tolist() == decoded


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_the_lowest_code_never_occurs(bits):
    qmax = 2 ** (bits - 1) - 1
    x = normal((1, 4096, 2, 8), 0, torch.bfloat16)
    codes = stored_codes(Symmetric(bits=bits).encode(x), bits)
    assert set(codes.unique().tolist()) == set(range(-qmax, qmax + 1))


@settings(deadline=None, max_examples=300)
@given(
    bits=st.sampled_from([2, 3, 4, 8]),
    group=st.sampled_from([8, 16, 40]),
    kind=st.sampled_from(sorted(DTYPES)),
    log=st.floats(-12, 38),
    spread=st.floats(0, 6),
    offset=st.sampled_from([0.0, 1.0, 30.0]),
    seed=st.integers(0, 999),
)
def test_the_error_bound_holds_and_nothing_overflows(bits, group, kind, log, spread, offset, seed):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn((1, 3 * group, 2, 4), generator=generator, dtype=torch.float64)
    x = x * torch.exp(spread * torch.randn(x.shape, generator=generator, dtype=torch.float64))
    limit = torch.finfo(DTYPES[kind]).max
    x = ((x + offset) * 10**log).clamp(-limit, limit).to(DTYPES[kind])
    codec = Symmetric(bits=bits, group_tokens=group)
    out = torch.empty_like(x)
    codec.decode(codec.encode(x), out)
    assert out.isfinite().all()
    bound = codec.error_bound()
    if x.abs().max() <= bound.largest:
        error = (out.double() - x.double()).norm().item()
        allowed = bound.relative * x.double().norm().item()
        assert error <= allowed + bound.absolute * math.sqrt(x.numel())


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_the_worst_group_comes_close_to_the_bound(bits):
    """One value at the top and the rest at half a step, just low enough to round to zero."""
    codec = Symmetric(bits=bits)
    x = torch.full((1, 16, 1, 1), 0.4999 / codec.qmax)
    x[0, 3] = 1.0
    out = torch.empty_like(x)
    codec.decode(codec.encode(x), out)
    relative = ((out - x).norm() / x.norm()).item()
    assert 0.99 * (codec.error_bound().relative - 5 * 2**-8) < relative


@pytest.mark.parametrize("kind", sorted(DTYPES))
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_huge_values_saturate_and_tiny_ones_vanish(kind, bits):
    codec = Symmetric(bits=bits)
    out = torch.empty(1, 16, 1, 2, dtype=DTYPES[kind])
    codec.decode(codec.encode(torch.full_like(out, -torch.finfo(DTYPES[kind]).max)), out)
    assert out.isfinite().all()
    assert out.max() <= -65000
    codec.decode(codec.encode(torch.full_like(out, 1e-9)), out)
    assert not out.any()
    codec.decode(codec.encode(torch.zeros_like(out)), out)
    assert not out.any()


def test_beyond_the_largest_scale_smaller_neighbours_survive():
    codec = Symmetric(bits=4)
    x = torch.zeros(1, 16, 1, 1)
    x[0, :3, 0, 0] = torch.tensor([1e9, -2e5, 65280.0])
    out = torch.empty_like(x)
    codec.decode(codec.encode(x), out)
    assert out[0, :3, 0, 0].tolist() == [7 * 65280.0, -3 * 65280.0, 65280.0]


@settings(deadline=None, max_examples=40)
@given(
    lengths=st.lists(st.integers(1, 3), min_size=1, max_size=4),
    stop=st.integers(1, 100),
    bits=st.sampled_from([2, 3, 4, 8]),
)
def test_joined_groups_decode_like_one_run(lengths, stop, bits):
    """Also into a buffer that ends inside a group and is a slice of a larger one."""
    codec = Symmetric(bits=bits)
    x = normal((2, 16 * sum(lengths), 2, 3), 5, torch.bfloat16)
    pieces = x.split([16 * length for length in lengths], dim=1)
    planes = codec.encode(pieces[0])
    for piece in pieces[1:]:
        planes = planes.join(codec.encode(piece))
    expected = torch.empty_like(x)
    codec.decode(codec.encode(x), expected)
    stop = min(stop, x.shape[1])
    buffer = torch.full((2, stop + 2, 2, 3), 9.0, dtype=torch.bfloat16)
    codec.decode(planes, buffer[:, 1:-1])
    assert torch.equal(buffer[:, 1:-1], expected[:, :stop])
    assert (buffer[:, [0, -1]] == 9).all()


@pytest.mark.parametrize(
    ("bits", "dtype"),
    [(2, torch.bfloat16), (3, torch.bfloat16), (4, torch.bfloat16), (8, torch.float32)],
)
def test_coding_again_changes_nothing(bits, dtype):
    """The largest value of a group maps to itself: 70 re-encodings add no error.

    (A step of 8 bits is as fine as bf16 itself, so there rounding moves codes.)
    """
    codec = Symmetric(bits=bits)
    once, again = (torch.empty(1, 160, 2, 8, dtype=dtype) for _ in range(2))
    codec.decode(codec.encode(normal(once.shape, 1, dtype)), once)
    again.copy_(once)
    for _ in range(70):
        codec.decode(codec.encode(again), again)
    torch.testing.assert_close(again, once, rtol=2**-7, atol=0)


def test_wider_output_holds_the_exact_product():
    """A residual coder decodes bf16 input to float32: no bf16 rounding comes between."""
    codec = Symmetric(bits=4)
    x = normal((1, 16, 1, 4), 3, torch.bfloat16)
    planes = codec.encode(x)
    out = torch.empty(x.shape, dtype=torch.float32)
    codec.decode(planes, out)
    assert torch.equal(out, stored_codes(planes, 4) * planes.scale.float())


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_stored_bytes(bits):
    planes = Symmetric(bits=bits).encode(torch.empty(1, 160, 2, 8, device="meta"))
    stored = sum(plane.untyped_storage().nbytes() for plane in planes.tensors())
    assert stored == 160 * 2 * 8 * (bits + 1) // 8
