"""The base of codecs with evenly spaced levels, which kernels code and decode on CUDA."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor

from kvbench_core.cache import Planes
from kvbench_quant.fused import FusedCodec, Levels, Sum, Uniform, encode
from kvbench_quant.grouped import GroupedCodec


class UniformCodec(FusedCodec, GroupedCodec):
    """A codec of groups whose planes are :class:`Levels`.

    ``encode_groups`` and ``decode_groups`` are the formula, and what runs where kernels do not.
    """

    @property
    @abstractmethod
    def uniform(self) -> Uniform | None:
        """What levels the elements have; ``None`` if codes are not packed."""

    @abstractmethod
    def limits(self, dtype: torch.dtype) -> tuple[float, float] | None:
        """:func:`~kvbench_quant.fused.encode`'s limits for input of ``dtype``.

        ``None`` if the kernel's formula is not that of ``encode_groups``.
        """

    @abstractmethod
    def planes(self, levels: Levels) -> Planes:
        """The planes of such elements; undone by :meth:`term`."""

    @abstractmethod
    def term(self, planes: Planes, uniform: Uniform) -> Levels:
        """``planes`` as the kernels see them."""

    def levels(self, planes: Planes) -> Sum | None:
        uniform = self.uniform
        return None if uniform is None else Sum((self.term(planes, uniform),))

    def encode(self, x: Tensor) -> Planes:
        uniform, limits = self.uniform, self.limits(x.dtype)
        levels = encode(uniform, x, limits) if uniform is not None and limits is not None else None
        return self.encode_plainly(x) if levels is None else self.planes(levels)

    def encode_plainly(self, x: Tensor) -> Planes:
        """:meth:`encode` in torch, on any device; the same planes, bit by bit."""
        return GroupedCodec.encode(self, x)

    def decode_plainly(self, planes: Planes, out: Tensor) -> None:
        GroupedCodec.decode(self, planes, out)
