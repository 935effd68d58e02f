# mypy: ignore-errors
# Triton's language is no Python that a type checker can follow.
"""Scales, codes and their packing in one pass over memory, bit for bit what torch makes."""

import torch
import triton
import triton.language as tl
from torch import Tensor

COLUMNS = 64  # of a tile; its rows are the tokens of one group
TOKEN_COLUMNS = 128


@triton.jit
def _rounded(x):
    """To whole numbers, half to even, for magnitudes up to 2^22."""
    return (x + 12582912.0) - 12582912.0


@triton.jit
def _step(low, high, kind: tl.constexpr, source: tl.constexpr, qmax, smallest, largest):
    """The step in float32 for coding and fp16 to keep, and the origin in fp16.

    ``kind``: :class:`kvbench_quant.fused.Origin`.
    """
    if kind == 0:
        step = tl.div_rn(tl.maximum(-low, high), qmax).to(source).to(tl.float32)
        step = tl.minimum(tl.maximum(step, smallest), largest).to(source).to(tl.float32)
        kept = step.to(tl.float16)
        origin = kept
    else:
        low = tl.minimum(tl.maximum(low, -largest), largest)
        high = tl.minimum(tl.maximum(high, -largest), largest)
        if kind == 1:
            origin = low.to(tl.float16)
            width = tl.maximum(high - origin.to(tl.float32), 0.0)
        else:
            low, high = tl.minimum(low, 0.0), tl.maximum(high, 0.0)
            width = high - low
        kept = tl.div_rn(width, qmax).to(tl.float16)
        step = tl.where(kept == 0, 1.0, kept.to(tl.float32))
        if kind == 2:
            origin = tl.minimum(_rounded(tl.div_rn(-low, step)), qmax).to(tl.float16)
    return step, kept, origin


@triton.jit
def _codes(x, step, origin, kind: tl.constexpr, source: tl.constexpr, qmax, largest):
    """uint8; codes with a sign in two's complement."""
    if kind == 0:
        level = tl.div_rn(x, step).to(source).to(tl.float32)
        code = tl.minimum(tl.maximum(level, -qmax), qmax)
    else:
        x = tl.minimum(tl.maximum(x, -largest), largest)
        if kind == 1:
            level = tl.div_rn(x - origin.to(tl.float32), step)
        else:
            level = tl.div_rn(x, step) + origin.to(tl.float32)
        code = tl.minimum(tl.maximum(level, 0.0), qmax)
    return _rounded(code).to(tl.int32).to(tl.uint8)


@triton.jit
def _store_field(target, code, channel, inside, channels, tokens: tl.constexpr,
                 bits: tl.constexpr, width: tl.constexpr):  # fmt: skip
    """One field of the codes ``[token, channel]``: see :mod:`kvbench_quant.packing`."""
    slots: tl.constexpr = 8 // width
    apart: tl.constexpr = tokens * width // 8
    above: tl.constexpr = bits & ~(2 * width - 1)
    field = (code >> (bits - above - width)) & ((1 << width) - 1)
    slot = tl.arange(0, slots)[:, None, None]
    field = tl.reshape(field, (slots, apart, code.shape[1])).to(tl.int32) << (width * slot)
    row = tokens * above // 8 + tl.arange(0, apart)[:, None]
    tl.store(target + row * channels + channel, tl.sum(field, 0).to(tl.uint8), mask=inside)


@triton.jit
def _store(codes, group, code, channel, channels, tokens: tl.constexpr, bits: tl.constexpr):
    target = codes + group * (tokens * bits // 8) * channels
    inside = channel < channels
    if bits & 8:
        _store_field(target, code, channel, inside, channels, tokens, bits, 8)
    if bits & 4:
        _store_field(target, code, channel, inside, channels, tokens, bits, 4)
    if bits & 2:
        _store_field(target, code, channel, inside, channels, tokens, bits, 2)
    if bits & 1:
        _store_field(target, code, channel, inside, channels, tokens, bits, 1)


@triton.jit
def _per_channel(
    x, codes, steps, origins, batch_stride, token_stride, total, channels, qmax, smallest, largest,
    tokens: tl.constexpr, bits: tl.constexpr, kind: tl.constexpr, columns: tl.constexpr,
):  # fmt: skip
    """One group of one video, some of its channels."""
    groups = tl.num_programs(1)
    group, batch = tl.program_id(1), tl.program_id(2).to(tl.int64)
    token = tl.minimum(group * tokens + tl.arange(0, tokens)[:, None], total - 1).to(tl.int64)
    channel = tl.program_id(0) * columns + tl.arange(0, columns)[None, :]
    inside = channel < channels
    place = x + batch * batch_stride + token * token_stride + channel
    values = tl.load(place, mask=inside, other=0).to(tl.float32)
    source: tl.constexpr = x.dtype.element_ty
    low, high = tl.min(values, 0)[None, :], tl.max(values, 0)[None, :]
    step, kept, origin = _step(low, high, kind, source, qmax, smallest, largest)
    code = _codes(values, step, origin, kind, source, qmax, largest)
    _store(codes, batch * groups + group, code, channel, channels, tokens, bits)
    at = (batch * groups + group) * channels + channel
    tl.store(steps + at, kept, mask=inside)
    if kind:
        tl.store(origins + at, origin, mask=inside)


@triton.jit
def _per_token(
    x, codes, steps, origins, batch_stride, token_stride, total, channels, qmax, smallest, largest,
    tokens: tl.constexpr, bits: tl.constexpr, kind: tl.constexpr, columns: tl.constexpr,
):  # fmt: skip
    """One group of one video: its range first, then its codes."""
    groups = tl.num_programs(1)
    group, batch = tl.program_id(1), tl.program_id(2).to(tl.int64)
    line = tl.arange(0, tokens)[:, None]
    token = tl.minimum(group * tokens + line, total - 1).to(tl.int64)
    place = x + batch * batch_stride + token * token_stride
    source: tl.constexpr = x.dtype.element_ty
    low = tl.full((tokens, 1), float("inf"), tl.float32)
    high = tl.full((tokens, 1), float("-inf"), tl.float32)
    for first in range(0, channels, columns):
        channel = first + tl.arange(0, columns)[None, :]
        values = tl.load(place + channel, mask=channel < channels, other=0).to(tl.float32)
        below = tl.where(channel < channels, values, float("inf"))
        above = tl.where(channel < channels, values, float("-inf"))
        low = tl.minimum(low, tl.min(below, 1)[:, None])
        high = tl.maximum(high, tl.max(above, 1)[:, None])
    step, kept, origin = _step(low, high, kind, source, qmax, smallest, largest)
    for first in range(0, channels, columns):
        channel = first + tl.arange(0, columns)[None, :]
        values = tl.load(place + channel, mask=channel < channels, other=0).to(tl.float32)
        code = _codes(values, step, origin, kind, source, qmax, largest)
        _store(codes, batch * groups + group, code, channel, channels, tokens, bits)
    at = (batch * groups + group) * tokens + line
    tl.store(steps + at, kept)
    if kind:
        tl.store(origins + at, origin)


def encode(uniform, x: Tensor, limits: tuple[float, float]):
    """Codes, steps and origins, if there are any: see :func:`kvbench_quant.fused.encode`."""
    batch, total, heads, dim = x.shape
    groups = triton.cdiv(total, uniform.group_tokens)
    shape = (batch, groups, uniform.group_tokens * uniform.bits // 8, heads, dim)
    codes = torch.empty(shape, dtype=torch.uint8, device=x.device)
    blocks = (uniform.group_tokens, 1, 1) if uniform.per_token else (1, heads, dim)
    steps = torch.empty((batch, groups, *blocks), dtype=torch.float16, device=x.device)
    origins = torch.empty_like(steps) if uniform.origin else None
    if uniform.per_token:
        kernel, tiles, launch = _per_token, 1, {"columns": TOKEN_COLUMNS}
    else:
        # With one warp a thread has all tokens of its channels: ranges need no shared memory.
        kernel, tiles = _per_channel, triton.cdiv(heads * dim, COLUMNS)
        launch = {"columns": COLUMNS, "num_warps": 1}
    with torch.cuda.device_of(x):
        kernel[(tiles, groups, batch)](
            x,
            codes,
            steps,
            steps if origins is None else origins,
            x.stride(0),
            x.stride(1),
            total,
            heads * dim,
            float(uniform.qmax),
            *limits,
            tokens=uniform.group_tokens,
            bits=uniform.bits,
            kind=int(uniform.origin),
            **launch,
        )
    return codes, steps, origins
