# mypy: ignore-errors
# Triton's language is no Python that a type checker can follow.
"""Unpacking, scaling, adding and rotating in one pass over memory."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from kvbench_quant.kernels import hadamard
from kvbench_quant.kernels.hadamard import rotated

ROWS, COLUMNS, WARPS = 16, 256, 4  # of a tile: tokens, channels


@triton.jit
def _field(
    source, place, channels, inside, tokens: tl.constexpr, bits: tl.constexpr, width: tl.constexpr
):
    """One field of the codes, at its place in codes raised to the top of 32 bits."""
    apart: tl.constexpr = tokens * width // 8
    above: tl.constexpr = bits & ~(2 * width - 1)  # wider fields: higher bits, earlier bytes
    row = tokens * above // 8 + place % apart
    byte = tl.load(source + row * channels, mask=inside, other=0).to(tl.uint32)
    top = byte << (32 - width * (place // apart + 1)).to(tl.uint32)
    return (top >> (32 - width)) << (32 - width - above)


@triton.jit
def _levels(
    codes,
    step,
    zero,
    codes_stride,
    step_stride,
    batch,
    token,
    channel,
    inside,
    channels,
    tokens: tl.constexpr,
    bits: tl.constexpr,
    kind: tl.constexpr,
    per_token: tl.constexpr,
    narrow: tl.constexpr,
):
    """One term, float32 ``[token, channel]``; ``kind``: :class:`kvbench_quant.fused.Origin`."""
    group = (token // tokens).to(tl.int64)
    place = token % tokens
    stored: tl.constexpr = tokens * bits // 8
    source = codes + batch * codes_stride + group * stored * channels + channel
    raised = tl.zeros(inside.shape, tl.uint32)
    if bits & 8:
        raised |= _field(source, place, channels, inside, tokens, bits, 8)
    if bits & 4:
        raised |= _field(source, place, channels, inside, tokens, bits, 4)
    if bits & 2:
        raised |= _field(source, place, channels, inside, tokens, bits, 2)
    if bits & 1:
        raised |= _field(source, place, channels, inside, tokens, bits, 1)
    if per_token:
        at = batch * step_stride + token + 0 * channel
    else:
        at = batch * step_stride + group * channels + channel
    factor = tl.load(step + at, mask=inside, other=0)
    if narrow:
        factor = factor.to(tl.bfloat16)
    factor = factor.to(tl.float32)
    if kind == 0:
        code = raised.to(tl.int32, bitcast=True) >> (32 - bits)  # with its sign
        return code.to(tl.float32) * factor
    code = (raised >> (32 - bits)).to(tl.float32)
    origin = tl.load(zero + at, mask=inside, other=0).to(tl.float32)
    if kind == 1:
        return origin + code * factor
    return (code - origin) * factor


@triton.jit
def _decode(
    out,
    out_stride,
    token_stride,
    total,
    channels,
    norm,
    codes,
    step,
    zero,
    codes_stride,
    step_stride,
    more_codes,
    more_step,
    more_zero,
    more_codes_stride,
    more_step_stride,
    tokens: tl.constexpr,
    terms: tl.constexpr,
    bits: tl.constexpr,
    kind: tl.constexpr,
    per_token: tl.constexpr,
    more_bits: tl.constexpr,
    more_kind: tl.constexpr,
    more_per_token: tl.constexpr,
    narrow: tl.constexpr,
    stages: tl.constexpr,
    rows: tl.constexpr,
    columns: tl.constexpr,
):
    """A tile of tokens and channels of one video; with ``stages``, a whole head, rotated."""
    token = tl.program_id(0) * rows + tl.arange(0, rows)[:, None]
    channel = tl.program_id(1) * columns + tl.arange(0, columns)[None, :]
    batch = tl.program_id(2).to(tl.int64)
    inside = (token < total) & (channel < channels)
    x = _levels(
        codes, step, zero, codes_stride, step_stride, batch, token, channel, inside, channels,
        tokens, bits, kind, per_token, narrow,
    )  # fmt: skip
    if terms == 2:
        x += _levels(
            more_codes, more_step, more_zero, more_codes_stride, more_step_stride, batch, token,
            channel, inside, channels, tokens, more_bits, more_kind, more_per_token, False,
        )  # fmt: skip
    if stages:
        x = rotated(x, norm, tl.float32, rows, columns, stages)
    target = out + batch * out_stride + token.to(tl.int64) * token_stride + channel
    tl.store(target, x.to(out.dtype.element_ty), mask=inside)


def decode(levels, out: Tensor) -> None:
    """See :class:`kvbench_quant.fused.Sum`; ``out [batch, token, head, dim]``."""
    batch, total, heads, dim = out.shape
    channels = heads * dim
    first, last = levels.terms[0], levels.terms[-1]
    rows, columns, warps = ROWS, COLUMNS, WARPS
    if levels.rotated:
        rows, columns, warps = hadamard.ROWS, dim, hadamard.WARPS
    signed = len(levels.terms) == 1 and first.origin is None
    with torch.cuda.device_of(out):
        _decode[(triton.cdiv(total, rows), triton.cdiv(channels, columns), batch)](
            out,
            out.stride(0),
            out.stride(1),
            total,
            channels,
            dim**-0.5,
            *_pointers(first),
            *_pointers(last),
            tokens=first.uniform.group_tokens,
            terms=len(levels.terms),
            **_constants(first, ""),
            **_constants(last, "more_"),
            narrow=signed and not levels.rotated and out.dtype == torch.bfloat16,
            stages=dim.bit_length() - 1 if levels.rotated else 0,
            rows=rows,
            columns=columns,
            num_warps=warps,
        )


def _pointers(term) -> tuple:
    origin = term.step if term.origin is None else term.origin
    return term.codes, term.step, origin, term.codes.stride(0), term.step.stride(0)


def _constants(term, prefix: str) -> dict[str, int]:
    uniform = term.uniform
    constants = {"bits": uniform.bits, "kind": int(uniform.origin), "per_token": uniform.per_token}
    return {prefix + name: value for name, value in constants.items()}
