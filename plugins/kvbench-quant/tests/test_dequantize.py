"""The Triton kernel gives what torch gives, bit for bit."""

from __future__ import annotations

import pytest
import torch

from kvbench_quant import Symmetric
from kvbench_quant.dequantize import dequantize_plainly, triton_obstacle


@pytest.mark.gpu
def test_triton_works_here():
    assert triton_obstacle(torch.device("cuda", 0)) is None


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
@pytest.mark.parametrize("source", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("bits", range(2, 9))
@pytest.mark.parametrize(("batch", "group", "heads", "dim"), [(1, 16, 12, 128), (2, 24, 3, 5)])
def test_kernel_equals_torch(batch, group, heads, dim, bits, source, dtype):
    """Into a slice of a larger buffer, from a slice of larger planes."""
    torch.manual_seed(bits)
    shape = (batch, 9 * group, heads, dim)
    x = (torch.randn(shape) * torch.exp(2 * torch.randn(shape))).to(source).cuda()
    codec = Symmetric(bits=bits, group_tokens=group)
    planes = codec.encode(x).groups(1, 8)
    buffers = torch.full((2, batch, 7 * group + 3, heads, dim), 9.0, dtype=dtype, device="cuda")
    fast, plain = buffers[:, :, 1 : 7 * group - 4]
    codec.decode(planes, fast)
    for first in range(0, plain.shape[1], group):
        rows = torch.empty(batch, 1, group, heads, dim, dtype=dtype, device="cuda")
        one = planes.groups(first // group, first // group + 1)
        dequantize_plainly(one.codes, one.scale, bits, rows)
        plain[:, first : first + group] = rows[:, 0, : plain.shape[1] - first]
    assert torch.equal(fast, plain)
    assert (buffers[:, :, [0, -1]] == 9).all()


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
