"""Attention kernels that also return the log-sum-exp, and the choice among them.

Every kernel takes queries, keys and values ``[batch, token, head, dim]`` of one dtype, scales by
``1/sqrt(dim)``, applies no mask, and returns a :class:`~kvbench_core.attention.merge.Partial`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from kvbench_core.attention.merge import Partial
from kvbench_core.errors import CacheError, UnknownNameError

LOW_PRECISION = (torch.bfloat16, torch.float16)


class AttentionKernel(ABC):
    """One way to compute attention."""

    name: ClassVar[str]

    @abstractmethod
    def obstacle(self, device: torch.device, dtype: torch.dtype) -> str | None:
        """Why the kernel cannot run there, or ``None`` if it can."""

    @abstractmethod
    def partial(self, q: Tensor, k: Tensor, v: Tensor) -> Partial:
        """Attention of ``q`` over ``k`` and ``v``."""


def _heads_first(*tensors: Tensor) -> list[Tensor]:
    return [tensor.transpose(1, 2) for tensor in tensors]


class CudnnKernel(AttentionKernel):
    """cuDNN's fused attention."""

    name = "cudnn"

    def obstacle(self, device: torch.device, dtype: torch.dtype) -> str | None:
        if device.type != "cuda":
            return "needs a CUDA device"
        if not torch.backends.cudnn.is_available():
            return "this torch has no cuDNN"
        return None if dtype in LOW_PRECISION else f"does not take {dtype}"

    def partial(self, q: Tensor, k: Tensor, v: Tensor) -> Partial:
        out, lse = torch.ops.aten._scaled_dot_product_cudnn_attention(
            *_heads_first(q, k, v), None, True
        )[:2]
        return Partial(out.transpose(1, 2), lse.reshape(out.shape[:3]))


class FlashKernel(AttentionKernel):
    """FlashAttention 2 as built into torch for CUDA."""

    name = "flash"

    def obstacle(self, device: torch.device, dtype: torch.dtype) -> str | None:
        if device.type != "cuda":
            return "needs a CUDA device"
        return None if dtype in LOW_PRECISION else f"does not take {dtype}"

    def partial(self, q: Tensor, k: Tensor, v: Tensor) -> Partial:
        out, lse = torch.ops.aten._scaled_dot_product_flash_attention(*_heads_first(q, k, v))[:2]
        return Partial(out.transpose(1, 2), lse[..., : q.shape[1]])


class XformersKernel(AttentionKernel):
    """xformers' memory-efficient attention, where its operators really load."""

    name = "xformers"

    def obstacle(self, device: torch.device, dtype: torch.dtype) -> str | None:
        if device.type != "cuda":
            return "needs a CUDA device"
        try:
            from xformers.ops import fmha
        except Exception as error:  # a broken build raises more than ImportError
            return f"xformers cannot be imported ({type(error).__name__}: {error})"
        if not hasattr(fmha, "memory_efficient_attention_partial"):
            return "this xformers has no memory_efficient_attention_partial"
        probe = torch.zeros(1, 16, 1, 64, device=device, dtype=dtype)
        try:
            fmha.memory_efficient_attention_partial(probe, probe, probe)
        except Exception as error:
            return f"xformers has no working operator here ({str(error).splitlines()[0]})"
        return None

    def partial(self, q: Tensor, k: Tensor, v: Tensor) -> Partial:
        from xformers.ops import fmha

        return Partial(*fmha.memory_efficient_attention_partial(q, k, v))


class CpuFlashKernel(AttentionKernel):
    """torch's blocked attention for CPUs."""

    name = "cpu-flash"

    def obstacle(self, device: torch.device, dtype: torch.dtype) -> str | None:
        return None if device.type == "cpu" else "needs the CPU"

    def partial(self, q: Tensor, k: Tensor, v: Tensor) -> Partial:
        out, lse = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
            *_heads_first(q, k, v)
        )
        return Partial(out.transpose(1, 2), lse.float().reshape(out.shape[:3]))


class ReferenceKernel(AttentionKernel):
    """Plain softmax in float32; runs anywhere, and materialises the logits."""

    name = "reference"

    def obstacle(self, device: torch.device, dtype: torch.dtype) -> str | None:
        return None

    def partial(self, q: Tensor, k: Tensor, v: Tensor) -> Partial:
        queries, keys, values = (tensor.float() for tensor in _heads_first(q, k, v))
        logits = queries @ keys.transpose(-1, -2) * q.shape[-1] ** -0.5
        lse = torch.logsumexp(logits, dim=-1)
        out = torch.exp(logits - lse.unsqueeze(-1)) @ values
        return Partial(out.transpose(1, 2).to(q.dtype), lse)


class MetaKernel(AttentionKernel):
    """Shapes only, for planning without memory."""

    name = "meta"

    def obstacle(self, device: torch.device, dtype: torch.dtype) -> str | None:
        return None if device.type == "meta" else "computes shapes only"

    def partial(self, q: Tensor, k: Tensor, v: Tensor) -> Partial:
        batch, tokens, heads, _ = q.shape
        return Partial(torch.empty_like(q), q.new_empty((batch, heads, tokens), dtype=torch.float))


KERNELS: tuple[AttentionKernel, ...] = (
    MetaKernel(),
    CudnnKernel(),
    FlashKernel(),
    XformersKernel(),
    CpuFlashKernel(),
    ReferenceKernel(),
)


def choose_kernel(name: str, device: torch.device, dtype: torch.dtype) -> AttentionKernel:
    """The kernel called ``name``, or for ``"auto"`` the first that can run.

    Raises:
        UnknownNameError: no kernel has that name.
        CacheError: the named kernel cannot run on this device and dtype.
    """
    if name == "auto":
        return next(kernel for kernel in KERNELS if kernel.obstacle(device, dtype) is None)
    kernel = next((kernel for kernel in KERNELS if kernel.name == name), None)
    if kernel is None:
        raise UnknownNameError("attention kernel", name, (kernel.name for kernel in KERNELS))
    if obstacle := kernel.obstacle(device, dtype):
        raise CacheError(f"attention kernel {name} cannot run on {device}: {obstacle}")
    return kernel


def kernel_report(device: torch.device, dtype: torch.dtype) -> dict[str, str]:
    """Each kernel's name with ``"ok"`` or what stands in its way."""
    return {
        kernel.name: kernel.obstacle(device, dtype) or "ok"
        for kernel in KERNELS
        if not isinstance(kernel, MetaKernel)
    }
