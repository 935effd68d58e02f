# mypy: ignore-errors
# Triton's language is no Python that a type checker can follow.
"""The Walsh-Hadamard transform in one pass over memory, bit for bit what torch makes."""

import torch
import triton
import triton.language as tl
from torch import Tensor

ROWS, WARPS = 8, 1  # of a tile: one warp exchanges all that it adds without shared memory


@triton.jit
def rotated(
    values, norm, kind: tl.constexpr, rows: tl.constexpr, dim: tl.constexpr, stages: tl.constexpr
):
    """The transform of float32 ``[row, dim]``, each sum rounded to ``kind``."""
    # Each stage works on the lowest bit of the place and makes it the highest: in the end every
    # bit is back where it was.
    for _ in tl.static_range(stages):
        first, second = tl.split(tl.reshape(values, (rows, dim // 2, 2)))
        total = (first + second).to(kind).to(tl.float32)
        difference = (first - second).to(kind).to(tl.float32)
        both = tl.permute(tl.join(total, difference), (0, 2, 1))
        values = tl.reshape(both, (rows, dim))
    return values * norm


@triton.jit
def _hadamard(
    out, x, batch_stride, token_stride, lines, heads, largest, norm,
    dim: tl.constexpr, stages: tl.constexpr, rows: tl.constexpr,
):  # fmt: skip
    """Some heads of some tokens of one video."""
    batch = tl.program_id(1).to(tl.int64)
    line = tl.program_id(0) * rows + tl.arange(0, rows)[:, None]
    place = tl.arange(0, dim)[None, :]
    inside = line < lines
    token, head = (line // heads).to(tl.int64), line % heads
    source = x + batch * batch_stride + token * token_stride + head * dim + place
    kind: tl.constexpr = out.dtype.element_ty
    values = tl.load(source, mask=inside, other=0).to(kind).to(tl.float32)
    values = tl.minimum(tl.maximum(values, -largest), largest)
    target = out + (batch * lines + line) * dim + place
    values = rotated(values, norm, kind, rows, dim, stages)
    tl.store(target, values.to(kind), mask=inside)


def hadamard(x: Tensor, dtype: torch.dtype, largest: float) -> Tensor:
    """See :func:`kvbench_quant.hadamard`; ``x [batch, token, head, dim]``."""
    batch, tokens, heads, dim = x.shape
    out = torch.empty(x.shape, dtype=dtype, device=x.device)
    with torch.cuda.device_of(x):
        _hadamard[(triton.cdiv(tokens * heads, ROWS), batch)](
            out,
            x,
            x.stride(0),
            x.stride(1),
            tokens * heads,
            heads,
            largest,
            dim**-0.5,
            dim=dim,
            stages=dim.bit_length() - 1,
            rows=ROWS,
            num_warps=WARPS,
        )
    return out
