"""Codes kept in integers of 8 or 16 bits, as the published study kept them (known defect D1)."""

from __future__ import annotations

import pytest
import torch

from kvbench_quant import Affine, ClampedAffine, Symmetric, ZeroPointAffine


@pytest.mark.parametrize("coder", [Symmetric, Affine, ZeroPointAffine, ClampedAffine])
@pytest.mark.parametrize("bits", [2, 3, 4, 8])
@pytest.mark.parametrize("container", [8, 16])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_a_container_changes_bytes_and_nothing_else(coder, bits, container, dtype):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 40, 2, 3, generator=generator).to(dtype)
    results = []
    for width in (None, container):
        codec = coder(bits=bits, container_bits=width)
        planes, out = codec.encode(x), torch.empty_like(x)
        codec.decode(planes, out)
        assert planes.codes.nbytes * 8 == 2 * 48 * 2 * 3 * (width or bits)
        results.append(out)
    assert torch.equal(*results)
