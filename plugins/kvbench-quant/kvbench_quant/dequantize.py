"""Packed codes and scales back to numbers."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from kvbench_quant.packing import pack, unpack


def dequantize(codes: Tensor, scale: Tensor, bits: int, out: Tensor) -> None:
    """Write signed code times scale into ``out``, ``[batch, group, token, head, dim]``.

    ``codes`` is what :func:`pack` makes of two's-complement codes; ``scale`` is fp16
    ``[batch, group, head, dim]``, used as a bf16 number where ``out`` is bf16. The product is
    rounded once. On CUDA one Triton kernel does it where Triton works; otherwise torch, with a
    temporary of one byte per element. Both give the same numbers.
    """
    if out.is_cuda and _in_rows(codes, scale, out) and triton_obstacle(out.device) is None:
        from kvbench_quant.triton_kernel import launch

        launch(codes, scale, bits, out)
    else:
        dequantize_plainly(codes, scale, bits, out)


def dequantize_plainly(codes: Tensor, scale: Tensor, bits: int, out: Tensor) -> None:
    """:func:`dequantize` in torch, on any device."""
    raised = unpack(codes, bits).view(torch.int8)
    # Raised codes are too large by a power of two. Dividing the scale by it is exact in bf16 and
    # float32; fp16 would lose small scales, so fp16 buffers are computed in float32.
    exact = torch.promote_types(out.dtype, torch.bfloat16)
    factor = scale.to(exact).div_(1 << (8 - bits)).unsqueeze(2)
    torch.mul(raised, factor, out=out)


def _in_rows(codes: Tensor, scale: Tensor, out: Tensor) -> bool:
    """Whether each token's channels, and the groups behind one another, lie side by side."""
    _, _, tokens, heads, dim = out.shape
    return (
        out.stride()[3:] == (dim, 1)
        and out.stride(1) == tokens * out.stride(2)
        and codes.stride()[1:] == (codes.shape[2] * heads * dim, heads * dim, dim, 1)
        and scale.stride()[1:] == (heads * dim, dim, 1)
    )


@cache
def triton_obstacle(device: torch.device) -> str | None:
    """Why Triton kernels cannot run on ``device``, or ``None``; found by running one."""
    try:
        from kvbench_quant.triton_kernel import launch

        codes = torch.tensor([-7, 7] * 4, dtype=torch.int8, device=device).view(1, 1, 8, 1, 1)
        scale = torch.ones(1, 1, 1, 1, dtype=torch.float16, device=device)
        out = torch.empty(1, 1, 8, 1, 1, dtype=torch.bfloat16, device=device)
        launch(pack(codes, 4), scale, 4, out)
        return None if torch.equal(out, codes.to(out.dtype)) else "its results are wrong"
    except Exception as error:  # no Triton, no C compiler, an unsupported device, ...
        return f"{type(error).__name__}: {error}"
