"""The part ``quarot``."""

from __future__ import annotations

from typing import ClassVar

import torch
from attrs import field, frozen

from kvbench_core.cache import KVCodec, TensorCodec
from kvbench_core.geometry import CacheGeometry
from kvbench_core.params import one_of, part_of
from kvbench_quant import Rotated, check_head_dim
from kvbench_rtn.codec import Rtn

ROTATIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@frozen
class Quarot(KVCodec):
    """Each head of K and V rotated by a Walsh-Hadamard matrix, then coded by ``inner``.

    QuaRot: Outlier-Free 4-Bit Inference in Rotated LLMs, arXiv 2404.00456. The rotation spreads a
    loud channel over all channels of its head. The formula is :class:`kvbench_quant.Rotated`'s;
    reading rotates back, so queries are left alone. Stored: what ``inner`` stores.

    ``inner`` is any codec. ``rotation`` is the dtype that the rotation before coding is computed
    in: ``"float32"``, or ``"bfloat16"`` as in the published study, where seven stages each round
    to bf16.

    Departures from the paper: it rotates queries and weights instead of rotating keys and values
    back, has random signs in the matrix, and codes per token.
    """

    name: ClassVar[str] = "quarot"

    inner: KVCodec = field(factory=Rtn, validator=part_of(KVCodec, "a codec such as rtn(bits=4)"))
    rotation: str = field(default="float32", validator=one_of(*ROTATIONS))
    key: TensorCodec = field(init=False)
    value: TensorCodec = field(init=False)

    def __attrs_post_init__(self) -> None:
        # Not by factories: those run before the parameters are validated.
        object.__setattr__(self, "key", self._rotated(self.inner.key))
        object.__setattr__(self, "value", self._rotated(self.inner.value))

    def _rotated(self, codec: TensorCodec) -> Rotated:
        return Rotated(codec, ROTATIONS[self.rotation])

    def check(self, geometry: CacheGeometry) -> None:
        check_head_dim(self.name, geometry.head_dim)
        super().check(geometry)
