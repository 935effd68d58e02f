"""Coders give on CUDA what they give on the CPU."""

from __future__ import annotations

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
)

CODERS = [
    Affine(bits=2),
    ZeroPointAffine(bits=4, per="token"),
    Affine(bits=3, container_bits=16),
    ClampedAffine(bits=4),
    ClampedAffine(bits=2, per="token"),
    Rotated(Symmetric(bits=4)),
    Rotated(Symmetric(bits=2), torch.bfloat16),
    Residual(Symmetric(bits=2), Symmetric(bits=4)),
    Outliers(Affine(bits=4), threshold=3.0),
    Outliers(Affine(bits=2, per="token"), threshold=3.0, max_share=0.001),
]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("codec", CODERS, ids=str)
@pytest.mark.parametrize("shape", [(1, 4672, 12, 128), (2, 100, 3, 16)])
def test_cuda_equals_cpu(codec, shape):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(shape, generator=generator)
    x[torch.rand(shape, generator=generator) < 0.01] *= 20
    x = x.bfloat16()
    planes, there = codec.encode(x), codec.encode(x.cuda())
    for have, want in zip(there.tensors(), planes.tensors(), strict=True):
        assert torch.equal(have.cpu(), want)
    tokens = shape[1] - 5
    out, result = torch.empty_like(x[:, :tokens]), torch.empty_like(x[:, :tokens], device="cuda")
    codec.decode(planes, out)
    codec.decode(there.groups(0, 2).join(there.groups(2, -(-shape[1] // 16))), result)
    torch.testing.assert_close(result.cpu(), out, rtol=2**-8, atol=1e-6)
