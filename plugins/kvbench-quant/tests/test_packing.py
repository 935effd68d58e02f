"""Codes in bytes: nothing is lost, nothing is wasted."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kvbench_quant import pack, unpack

shapes = st.tuples(
    st.integers(1, 2), st.integers(0, 3), st.sampled_from([8, 16, 24]), st.integers(1, 3)
).map(lambda s: (*s, 5))


def codes_like(shape, low, high, seed, dtype):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(low, high, shape, generator=generator, dtype=dtype)


@settings(deadline=None)
@given(shape=shapes, bits=st.integers(1, 8), seed=st.integers(0, 999))
def test_unsigned_codes_come_back_raised(shape, bits, seed):
    codes = codes_like(shape, 0, 2**bits, seed, torch.uint8)
    packed = pack(codes, bits)
    assert packed.dtype == torch.uint8
    assert packed.shape == (*shape[:2], shape[2] * bits // 8, *shape[3:])
    assert torch.equal(unpack(packed, bits), codes << (8 - bits))


@settings(deadline=None)
@given(shape=shapes, bits=st.integers(2, 8), seed=st.integers(0, 999))
def test_raised_signed_codes_are_multiples(shape, bits, seed):
    codes = codes_like(shape, -(2 ** (bits - 1)), 2 ** (bits - 1), seed, torch.int8)
    raised = unpack(pack(codes, bits), bits).view(torch.int8)
    assert torch.equal(raised.int(), codes.int() * 2 ** (8 - bits))


@pytest.mark.parametrize(("width", "apart"), [(1, 2), (2, 4), (4, 8), (8, 16)])
def test_tokens_that_share_a_byte(width, apart):
    """The layout, worked out token by token for a group of 16."""
    codes = codes_like((1, 1, 16, 1, 1), 0, 2**width, 7, torch.uint8)
    packed = pack(codes, width).flatten().tolist()
    for token, code in enumerate(codes.flatten().tolist()):
        byte, slot = token % apart, token // apart
        assert packed[byte] >> (slot * width) & (2**width - 1) == code


def test_three_bits_are_two_and_one():
    codes = codes_like((1, 1, 16, 1, 1), 0, 8, 7, torch.uint8)
    packed = pack(codes, 3)
    assert torch.equal(packed[:, :, :4], pack(codes >> 1, 2))
    assert torch.equal(packed[:, :, 4:], pack(codes & 1, 1))


@pytest.mark.parametrize("bits", range(1, 9))
def test_inputs_keep_their_values(bits):
    codes = codes_like((1, 2, 16, 2, 3), 0, 2**bits, 1, torch.uint8)
    before = codes.clone()
    packed = pack(codes, bits)
    packed_before = packed.clone()
    unpack(packed, bits)
    assert torch.equal(codes, before)
    assert torch.equal(packed, packed_before)


@pytest.mark.parametrize("bits", range(1, 9))
def test_shapes_alone_on_meta(bits):
    packed = pack(torch.empty(1, 3, 16, 2, 4, dtype=torch.int8, device="meta"), bits)
    assert packed.untyped_storage().nbytes() == 3 * 16 * bits // 8 * 2 * 4
    assert unpack(packed, bits).shape == (1, 3, 16, 2, 4)
