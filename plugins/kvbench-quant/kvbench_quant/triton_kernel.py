# mypy: ignore-errors
# Triton's language is no Python that a type checker can follow.
"""Unpacking and scaling in one pass over memory, on CUDA."""

import torch
import triton
import triton.language as tl
from torch import Tensor

BLOCK = 512


@triton.jit
def _field(
    source,
    token,
    channels,
    inside,
    tokens: tl.constexpr,
    bits: tl.constexpr,
    width: tl.constexpr,
):
    """One field of a token's codes, at its place in codes raised to the top of 32 bits."""
    apart: tl.constexpr = tokens * width // 8
    above: tl.constexpr = bits & ~(2 * width - 1)  # wider fields: higher bits, earlier bytes
    row = tokens * above // 8 + token % apart
    byte = tl.load(source + row * channels, mask=inside).to(tl.uint32)
    top = byte << (32 - width * (token // apart + 1))
    return (top >> (32 - width)) << (32 - width - above)


@triton.jit
def _kernel(
    codes,
    scale,
    out,
    groups,
    channels,
    codes_stride,
    scale_stride,
    out_stride,
    token_stride,
    tokens: tl.constexpr,
    bits: tl.constexpr,
    block: tl.constexpr,
):
    """One group of one sequence of the batch, ``block`` channels of it."""
    group = tl.program_id(0) % groups
    batch = (tl.program_id(0) // groups).to(tl.int64)
    channel = tl.program_id(1) * block + tl.arange(0, block)
    inside = channel < channels
    factor = tl.load(scale + batch * scale_stride + group * channels + channel, mask=inside)
    if out.dtype.element_ty == tl.bfloat16:
        factor = factor.to(tl.bfloat16)
    factor = factor.to(tl.float32) / (1 << (8 - bits))
    stored = tokens * bits // 8
    source = codes + batch * codes_stride + group.to(tl.int64) * stored * channels + channel
    target = out + batch * out_stride + group.to(tl.int64) * tokens * token_stride + channel
    for token in range(tokens):
        raised = tl.zeros((block,), tl.uint32)
        if bits & 8:
            raised |= _field(source, token, channels, inside, tokens, bits, 8)
        if bits & 4:
            raised |= _field(source, token, channels, inside, tokens, bits, 4)
        if bits & 2:
            raised |= _field(source, token, channels, inside, tokens, bits, 2)
        if bits & 1:
            raised |= _field(source, token, channels, inside, tokens, bits, 1)
        code = raised.to(tl.int32, bitcast=True) >> 24  # with its sign
        value = code.to(tl.float32) * factor
        tl.store(target + token * token_stride, value.to(out.dtype.element_ty), mask=inside)


def launch(codes: Tensor, scale: Tensor, bits: int, out: Tensor) -> None:
    """See :func:`kvbench_quant.dequantize.dequantize`; ``out``'s channels lie side by side."""
    batch, groups, tokens, heads, dim = out.shape
    channels = heads * dim
    with torch.cuda.device(out.device):
        _kernel[(batch * groups, triton.cdiv(channels, BLOCK))](
            codes,
            scale,
            out,
            groups,
            channels,
            codes.stride(0),
            scale.stride(0),
            out.stride(0),
            out.stride(2),
            tokens=tokens,
            bits=bits,
            block=BLOCK,
        )
