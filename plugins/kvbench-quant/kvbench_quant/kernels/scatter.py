# mypy: ignore-errors
# Triton's language is no Python that a type checker can follow.
"""Single values written to their places."""

import torch
import triton
import triton.language as tl
from torch import Tensor


@triton.jit
def _scatter(
    out,
    place,
    value,
    starts,
    counts,
    out_stride,
    token_stride,
    total,
    cell_stride,
    channels,
    tokens: tl.constexpr,
    block: tl.constexpr,
):
    """The single values of one group of one video."""
    group, batch = tl.program_id(0), tl.program_id(1).to(tl.int64)
    first = tl.load(starts + batch * cell_stride + group)
    count = tl.load(counts + batch * cell_stride + group).to(tl.int32)
    for ahead in range(0, count, block):
        index = ahead + tl.arange(0, block)
        at = tl.load(place + first + index, mask=index < count, other=0).to(tl.int64)
        token = group * tokens + at // channels
        target = out + batch * out_stride + token * token_stride + at % channels
        x = tl.load(value + first + index, mask=index < count, other=0)
        inside = (index < count) & (token < total)
        tl.store(target, x.to(tl.float32).to(out.dtype.element_ty), mask=inside)


def scatter(planes, group_tokens: int, out: Tensor) -> None:
    """Write :class:`kvbench_quant.SparsePlanes` into ``out [batch, token, head, dim]``."""
    batch, total, heads, dim = out.shape
    groups = triton.cdiv(total, group_tokens)
    with torch.cuda.device_of(out):
        _scatter[(groups, batch)](
            out,
            planes.place,
            planes.value,
            planes.first_values(),
            planes.counts,
            out.stride(0),
            out.stride(1),
            total,
            planes.counts.stride(0),
            heads * dim,
            tokens=group_tokens,
            block=128,
        )
