"""The Triton kernels give what torch gives."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch

from kvbench_quant import (
    Affine,
    ClampedAffine,
    Outliers,
    Residual,
    Rotated,
    Symmetric,
    ZeroPointAffine,
    fused,
)
from kvbench_quant.fused import GROUPS, Levels, triton_obstacle
from kvbench_quant.hadamard import hadamard_plainly
from kvbench_quant.sparse import scatter_plainly_

CODECS = [
    *(Symmetric(bits=bits) for bits in range(2, 9)),
    Symmetric(bits=4, group_tokens=24),
    *(Affine(bits=bits) for bits in (2, 3, 4, 8)),
    Affine(bits=4, per="token"),
    ZeroPointAffine(bits=2, per="token"),
    ClampedAffine(bits=4),
    Residual(Symmetric(bits=2), Symmetric(bits=4)),
    Residual(Affine(bits=3, per="token"), ZeroPointAffine(bits=4)),
    Symmetric(bits=5, group_tokens=64),
    Affine(bits=5, group_tokens=8),
    ZeroPointAffine(bits=6),
]
ENCODED = [
    codec
    for codec in CODECS
    if not isinstance(codec, Residual | ClampedAffine) and codec.group_tokens in GROUPS
]
ROTATED = [
    *(Rotated(Symmetric(bits=bits)) for bits in (2, 4, 5, 6, 8)),
    Rotated(Affine(bits=2)),
    Rotated(Residual(Symmetric(bits=2), Symmetric(bits=4))),
]


def decoded_twice(codec, shape, source, dtype, device):
    """By the kernel and by torch, into slices of larger buffers, from slices of larger planes."""
    from kvbench_quant.kernels.decode import decode

    generator = torch.Generator().manual_seed(0)
    x = torch.randn(shape, generator=generator) * torch.exp(torch.randn(shape, generator=generator))
    planes = codec.encode(x.to(source).to(device)).groups(1, 4)
    tokens = 3 * codec.group_tokens - 5
    buffers = torch.full((2, shape[0], tokens + 2, *shape[2:]), 9.0, dtype=dtype, device=device)
    fast, plain = buffers[:, :, 1:-1]
    levels = codec.levels(planes)
    decode(levels, fast)
    codec.decode_plainly(planes, plain)
    assert (buffers[:, :, [0, -1]] == 9).all()
    return fast, plain


def encoded_twice(codec, shape, source, device):
    """Planes by the kernel and by torch, of a slice of a larger tensor with values of all sizes."""
    from kvbench_quant.kernels.encode import encode

    generator = torch.Generator().manual_seed(0)
    x = torch.randn(shape, generator=generator) * torch.exp(torch.randn(shape, generator=generator))
    x[:, :40, 0] *= 1e-9
    x[:, 7:50:9, -1, ::2] *= 40000
    x[:, :48, :, 1] = 0.37
    x = x.clamp(-65504, 65504).to(source).to(device)[:, 2:-1]
    uniform = codec.uniform
    fast = codec.planes(Levels(uniform, *encode(uniform, x, codec.limits(source))))
    return fast.tensors(), codec.encode_plainly(x).tensors()


def rotated_twice(shape, source, dtype, device):
    from kvbench_quant.kernels import hadamard as kernel

    x = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(source).to(device)
    x[0, 0, 0, 0] = 3e38 if source is not torch.float16 else 6e4
    view = x[:, 1:]
    limited = view.to(dtype).clamp(-(2.0**100), 2.0**100)
    return kernel.hadamard(view, dtype, 2.0**100), hadamard_plainly(limited)


def scattered_twice(device):
    from kvbench_quant.kernels.scatter import scatter

    x = torch.randn((2, 64, 3, 8), generator=torch.Generator().manual_seed(0)).to(device)
    x[:, ::7, 1, 3] *= 50
    planes = Outliers(Affine(), 3.0).encode(x).groups(1, 4).outliers
    fast, plain = torch.zeros((2, 2, 45, 3, 8), device=device)
    scatter(planes, 16, fast)
    scatter_plainly_(plain, planes, 16)
    assert plain.count_nonzero() > 4
    return fast, plain


def interpreted():
    """What the default test session can see of the kernels: Triton's interpreter on the CPU.

    It computes wrongly in bf16 (Triton 3.9).
    """
    for codec in CODECS:
        for dtype in (torch.float32, torch.float16):
            shape = (2, 4 * codec.group_tokens, 3, 8)
            fast, plain = decoded_twice(codec, shape, torch.float32, dtype, "cpu")
            assert torch.equal(fast, plain), (codec, dtype)
    for codec in ROTATED:
        fast, plain = decoded_twice(codec, (2, 64, 3, 32), torch.float32, torch.float32, "cpu")
        assert torch.equal(fast, plain), codec
    for codec in ENCODED:
        shape = (2, 4 * codec.group_tokens, 3, 50)
        for fast, plain in zip(*encoded_twice(codec, shape, torch.float32, "cpu"), strict=True):
            assert torch.equal(fast, plain), codec
    for dim in (16, 128):
        fast, plain = rotated_twice((2, 9, 3, dim), torch.float32, torch.float32, "cpu")
        assert torch.equal(fast, plain), dim
    fast, plain = scattered_twice("cpu")
    assert torch.equal(fast, plain)
    for codec in [Symmetric(bits=4), Affine(per="token"), ROTATED[-1], Outliers(Affine(), 3.0)]:
        whole_codec(codec)


def whole_codec(codec):
    """What a codec does by itself, once with kernels and once without."""
    x = torch.randn((1, 70, 2, 32), generator=torch.Generator().manual_seed(0))
    results = []
    for run in (True, False):
        fused.kernels_run = lambda device, run=run: run
        planes, out = codec.encode(x), torch.empty_like(x)
        codec.decode(planes, out)
        results.append([*planes.tensors(), out])
    assert all(map(torch.equal, *results)), codec


def test_kernels_equal_torch_in_the_interpreter():
    pytest.importorskip("triton")
    environment = {**os.environ, "TRITON_INTERPRET": "1"}  # read when Triton is imported
    subprocess.run([sys.executable, __file__], check=True, env=environment, timeout=300)


@pytest.mark.gpu
def test_triton_works_here():
    assert triton_obstacle(torch.device("cuda", 0)) is None


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
@pytest.mark.parametrize("source", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("codec", CODECS, ids=str)
@pytest.mark.parametrize(("batch", "heads", "dim"), [(1, 12, 128), (2, 3, 5)])
def test_kernel_equals_torch(batch, heads, dim, codec, source, dtype):
    shape = (batch, 4 * codec.group_tokens, heads, dim)
    fast, plain = decoded_twice(codec, shape, source, dtype, "cuda")
    # A fused multiply-add rounds once where torch rounds twice.
    exact = isinstance(codec, Symmetric | ZeroPointAffine)
    eps = 0.0 if exact else torch.finfo(dtype).eps
    torch.testing.assert_close(fast, plain, rtol=eps, atol=eps * 2**-7)


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("codec", ROTATED, ids=str)
@pytest.mark.parametrize(("batch", "heads", "dim"), [(1, 12, 128), (2, 3, 64), (1, 2, 16)])
def test_rotating_kernel_equals_torch(batch, heads, dim, codec, dtype):
    shape = (batch, 4 * codec.group_tokens, heads, dim)
    fast, plain = decoded_twice(codec, shape, torch.bfloat16, dtype, "cuda")
    if isinstance(codec.inner, Symmetric):
        assert torch.equal(fast, plain)
    # A fused multiply-add rounds once where torch rounds twice.
    error = torch.finfo(dtype).eps * plain.abs() + 2**-20 * plain.abs().amax()
    assert ((fast - plain).abs() <= error).all()


@pytest.mark.gpu
@pytest.mark.parametrize("source", [torch.bfloat16, torch.float16, torch.float32])
@pytest.mark.parametrize("codec", ENCODED, ids=str)
@pytest.mark.parametrize(("batch", "heads", "dim"), [(1, 12, 128), (2, 3, 50)])
def test_encoding_kernel_equals_torch(batch, heads, dim, codec, source):
    shape = (batch, 20 * codec.group_tokens, heads, dim)
    for fast, plain in zip(*encoded_twice(codec, shape, source, "cuda"), strict=True):
        assert torch.equal(fast, plain)


@pytest.mark.gpu
@pytest.mark.parametrize("source", [torch.bfloat16, torch.float16, torch.float32])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize(("batch", "heads", "dim"), [(1, 12, 128), (2, 3, 64), (1, 2, 16)])
def test_rotation_equals_the_butterflies(batch, heads, dim, source, dtype):
    assert torch.equal(*rotated_twice((batch, 77, heads, dim), source, dtype, "cuda"))


@pytest.mark.gpu
def test_scattering_kernel_equals_torch():
    assert torch.equal(*scattered_twice("cuda"))


@pytest.mark.gpu
def test_buffers_of_odd_strides_are_decoded_by_torch():
    x = torch.randn(1, 32, 2, 8).bfloat16().cuda()
    codec = Symmetric(bits=4)
    expected, out = torch.empty_like(x), torch.empty(1, 2, 32, 8).bfloat16().cuda().transpose(1, 2)
    codec.decode(codec.encode(x), expected)
    codec.decode(codec.encode(x), out)
    assert torch.equal(out, expected)


def test_cpu_has_no_triton():
    assert triton_obstacle(torch.device("cpu")) is not None


def test_doing_without_kernels_is_said():
    with pytest.warns(RuntimeWarning, match="run on cuda:99 without Triton's kernels"):
        assert not fused.kernels_run(torch.device("cuda", 99))


if __name__ == "__main__":
    interpreted()
