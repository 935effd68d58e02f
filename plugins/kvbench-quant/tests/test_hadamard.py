"""The rotation against the matrix and against a textbook butterfly."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kvbench_core.cache import DenseCodec
from kvbench_core.errors import ParameterError
from kvbench_quant import Affine, Rotated, Symmetric, hadamard, slabs


def butterfly(row, rounded):
    """One row, in place, each sum rounded: pairs 1 apart, then 2, then 4, ..."""
    row, half = [np.float32(x) for x in row], 1
    while half < len(row):
        for first in range(0, len(row), 2 * half):
            for i in range(first, first + half):
                a, b = row[i], row[i + half]
                row[i], row[i + half] = rounded(a + b), rounded(a - b)
        half *= 2
    return [rounded(x * np.float32(1 / np.sqrt(len(row)))) for x in row]


def bf16(x):
    word = int(np.float32(x).view(np.uint32))
    return np.uint32((word + 0x7FFF + (word >> 16 & 1)) & 0xFFFF0000).view(np.float32)


ROUNDED = {torch.float32: np.float32, torch.bfloat16: bf16}


def normal(shape, seed=0, dtype=torch.float32):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


@settings(deadline=None, max_examples=40)
@given(
    log=st.integers(0, 6),
    dtype=st.sampled_from(list(ROUNDED)),
    scale=st.integers(-10, 10),
    seed=st.integers(0, 99),
)
def test_equals_the_textbook_butterfly_bit_by_bit(log, dtype, scale, seed):
    x = normal((2, 3, 2, 2**log), seed, dtype) * 4.0**scale
    out = hadamard(x).flatten(0, 2)
    for row, rotated in zip(x.flatten(0, 2), out, strict=True):
        assert rotated.tolist() == butterfly(row.tolist(), ROUNDED[dtype])


@pytest.mark.parametrize("dim", [1, 2, 16, 128])
def test_is_sylvester_s_matrix_and_its_own_inverse(dim):
    matrix = np.array([[(-1) ** (i & j).bit_count() for j in range(dim)] for i in range(dim)])
    matrix = torch.from_numpy(matrix / np.sqrt(dim))
    x = normal((1, 5, 2, dim)).double()
    torch.testing.assert_close(hadamard(x), x @ matrix)
    torch.testing.assert_close(hadamard(hadamard(x)), x)


def test_reads_any_strides_and_leaves_its_argument_alone():
    x = normal((2, 6, 4, 16))
    before = x.clone()
    view = x[:, 1:5, ::2]
    assert torch.equal(hadamard(view), hadamard(view.contiguous()))
    hadamard(x[..., :1])
    assert torch.equal(x, before)


@pytest.mark.parametrize("dim", [0, 3, 12, 96, 2048])
def test_other_dimensions_are_refused(dim):
    with pytest.raises(ParameterError) as caught:
        hadamard(torch.zeros(1, 1, 1, dim))
    assert str(caught.value) == f"hadamard: head_dim must be a power of two up to 1024; got {dim}"


@pytest.mark.parametrize("rotation", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("tokens", [16, 21])
def test_codes_are_those_of_the_rotated_tensor(rotation, tokens):
    x = normal((2, tokens, 2, 8), dtype=torch.bfloat16)
    rows = [butterfly(row.tolist(), ROUNDED[rotation]) for row in x.flatten(0, 2)]
    rotated = torch.from_numpy(np.array(rows, dtype=np.float32)).to(rotation).view(x.shape)
    planes, inner = Rotated(Symmetric(bits=4), rotation).encode(x), Symmetric(bits=4)
    for have, want in zip(planes.tensors(), inner.encode(rotated).tensors(), strict=True):
        assert torch.equal(have, want)
    out, back = torch.empty_like(x), torch.empty_like(x, dtype=torch.float32)
    Rotated(inner, rotation).decode(planes, out)
    inner.decode(planes, back)
    rows = [butterfly(row.tolist(), np.float32) for row in back.flatten(0, 2)]
    expected = torch.from_numpy(np.array(rows, dtype=np.float32)).view(x.shape).bfloat16()
    assert torch.equal(out, expected)


def test_a_rotation_alone_costs_one_rounding():
    """In front of a codec that keeps what it gets."""
    x = normal((1, 20, 2, 128), dtype=torch.bfloat16)
    out = torch.empty_like(x)
    codec = Rotated(DenseCodec())
    codec.decode(codec.encode(x), out)
    torch.testing.assert_close(out, x, rtol=2**-8, atol=2**-20)


@settings(deadline=None, max_examples=60)
@given(
    bits=st.sampled_from([2, 4, 8]),
    rotation=st.sampled_from([torch.float32, torch.bfloat16]),
    log=st.floats(-8, 38.4),
    one_sided=st.booleans(),
    seed=st.integers(0, 99),
)
def test_the_error_bound_holds_and_nothing_overflows(bits, rotation, log, one_sided, seed):
    x = normal((1, 32, 2, 32), seed).double() * 10**log
    limit = torch.finfo(torch.bfloat16).max
    x = (x.abs() if one_sided else x).clamp(-limit, limit).bfloat16()
    codec = Rotated(Symmetric(bits=bits), rotation)
    out = torch.empty_like(x)
    codec.decode(codec.encode(x), out)
    assert out.isfinite().all()
    bound = codec.error_bound()
    if x.abs().max() <= bound.largest:
        allowed = bound.relative * x.double().norm() + bound.absolute * x.numel() ** 0.5
        assert (out.double() - x.double()).norm() <= allowed


def test_spreads_a_loud_channel():
    x = normal((1, 160, 2, 128), dtype=torch.bfloat16)
    x[..., 5] *= 30

    def error(codec):
        out = torch.empty_like(x)
        codec.decode(codec.encode(x), out)
        quiet = torch.arange(128) != 5
        return (out - x)[..., quiet].float().norm() / x[..., quiet].float().norm()

    per_token = Affine(bits=4, per="token")
    assert error(Rotated(per_token)) < 0.3 * error(per_token)


@pytest.mark.parametrize("elements", [1, 16 * 2 * 8, 5000])
def test_pieces_make_the_same_whole(monkeypatch, elements):
    x, codec = normal((2, 70, 2, 8), dtype=torch.bfloat16), Rotated(Symmetric(bits=4))
    whole, pieces = torch.empty_like(x), torch.empty_like(x)
    codec.decode(codec.encode(x), whole)
    monkeypatch.setitem(slabs.__globals__, "SLAB_ELEMENTS", elements)
    codec.decode(codec.encode(x), pieces)
    assert torch.equal(whole, pieces)
