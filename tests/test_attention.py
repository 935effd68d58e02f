"""Kernels and the merge against plain softmax in float64."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kvbench_core.attention import Partial, choose_kernel, kernel_report, merge
from kvbench_core.errors import CacheError, UnknownNameError

CPU = torch.device("cpu")


def softmax_attention(q, k, v, copies=None):
    """``[token, head, dim]`` in float64; key ``i`` counted ``copies[i]`` times."""
    q, k, v = (x.double() for x in (q, k, v))
    if copies is not None:
        k, v = k.repeat_interleave(copies, 0), v.repeat_interleave(copies, 0)
    logits = torch.einsum("qhd,khd->hqk", q, k) / math.sqrt(q.shape[-1])
    return torch.einsum("hqk,khd->qhd", logits.softmax(-1), v), logits.logsumexp(-1)


def tensors(seed, queries, keys, heads=2, dim=16):
    generator = torch.Generator().manual_seed(seed)
    return (torch.randn(1, n, heads, dim, generator=generator) for n in (queries, keys, keys))


@pytest.mark.parametrize("name", ["cpu-flash", "reference"])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-6), (torch.bfloat16, 2e-2)])
def test_kernel_equals_softmax(name, dtype, tolerance):
    q, k, v = (x.to(dtype) for x in tensors(0, queries=5, keys=33))
    partial = choose_kernel(name, CPU, dtype).partial(q, k, v)
    out, lse = softmax_attention(q[0], k[0], v[0])
    assert partial.out.dtype == dtype
    assert partial.lse.dtype == torch.float32
    torch.testing.assert_close(partial.out[0].double(), out, atol=tolerance, rtol=0)
    torch.testing.assert_close(partial.lse[0].double(), lse, atol=tolerance, rtol=1e-4)


@settings(deadline=None, max_examples=30)
@given(
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=4),
    counts=st.lists(st.sampled_from([1, 3, 1560]), min_size=4, max_size=4),
    scale=st.sampled_from([0.1, 1.0, 30.0]),
    seed=st.integers(0, 2**16),
)
def test_merge_equals_softmax_over_all_copies(sizes, counts, scale, seed):
    q, k, v = tensors(seed, queries=3, keys=sum(sizes))
    k = k * scale
    kernel = choose_kernel("auto", CPU, torch.float32)
    parts, copies, first = [], [], 0
    for size, count in zip(sizes, counts, strict=False):
        keys, values = k[:, first : first + size], v[:, first : first + size]
        parts.append(kernel.partial(q, keys, values).repeated(count))
        copies += [count] * size
        first += size
    expected, _ = softmax_attention(q[0], k[0], v[0], torch.tensor(copies))
    torch.testing.assert_close(merge(parts)[0].double(), expected, atol=1e-5, rtol=1e-5)


def test_merge_of_parts_for_some_heads():
    q, k, v = tensors(1, queries=4, keys=6, heads=3)
    kernel = choose_kernel("auto", CPU, torch.float32)
    everyone = kernel.partial(q, k[:, :4], v[:, :4])
    heads = [0, 2]
    some = kernel.partial(q[:, :, heads], k[:, 4:, heads], v[:, 4:, heads]).on_heads(heads, 3)
    merged = merge([everyone, some])
    all_keys, _ = softmax_attention(q[0], k[0], v[0])
    four_keys, _ = softmax_attention(q[0], k[0, :4], v[0, :4])
    torch.testing.assert_close(merged[0, :, heads].double(), all_keys[:, heads], atol=1e-6, rtol=0)
    torch.testing.assert_close(merged[0, :, 1].double(), four_keys[:, 1], atol=1e-6, rtol=0)


@pytest.mark.gpu
@pytest.mark.parametrize("name", ["cudnn", "flash", "xformers"])
@pytest.mark.parametrize("keys", [1, 17, 4680])
def test_cuda_kernel_equals_softmax(name, keys):
    device = torch.device("cuda")
    state = kernel_report(device, torch.bfloat16)[name]
    if state != "ok":
        pytest.skip(state)
    q, k, v = (x.to(device, torch.bfloat16) for x in tensors(0, queries=300, keys=keys, dim=128))
    partial = choose_kernel(name, device, torch.bfloat16).partial(q, k, v)
    out, lse = softmax_attention(q[0], k[0], v[0])
    torch.testing.assert_close(partial.out[0].double(), out, atol=2e-2, rtol=0)
    torch.testing.assert_close(partial.lse[0].double(), lse, atol=1e-3, rtol=1e-3)


def test_merge_survives_large_logits():
    out = torch.ones(1, 1, 1, 4)
    huge, small = torch.full((1, 1, 1), 3e4), torch.full((1, 1, 1), -3e4)
    merged = merge([Partial(out, huge), Partial(-out, small)])
    torch.testing.assert_close(merged, out)


def test_a_kernel_that_cannot_run_is_refused():
    with pytest.raises(CacheError, match="attention kernel flash cannot run on cpu: needs a CUDA"):
        choose_kernel("flash", CPU, torch.bfloat16)
    with pytest.raises(UnknownNameError, match="did you mean flash"):
        choose_kernel("flas", CPU, torch.bfloat16)


def test_report_names_every_obstacle():
    report = kernel_report(CPU, torch.bfloat16)
    assert report["cpu-flash"] == "ok"
    assert report["xformers"] == "needs a CUDA device"
