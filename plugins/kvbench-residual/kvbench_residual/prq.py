"""The part ``prq``."""

from __future__ import annotations

from typing import ClassVar

from attrs import field, frozen

from kvbench_core.cache import KVCodec, TensorCodec
from kvbench_core.params import one_of, optional
from kvbench_quant import CONTAINERS, WIDTHS, Residual, Symmetric, group_size


@frozen
class Prq(KVCodec):
    """K and V rounded to nearest, and the residual rounded to nearest again.

    Progressive residual quantisation as the self-forcing KV-cache study (arXiv 2603.27469) has it;
    the idea is that of Quant VideoGen (arXiv 2602.02958), whose first stage is k-means. Both
    stages are :class:`kvbench_quant.Symmetric`. Stored: ``bits + residual_bits +
    32 / group_tokens`` bits per element (10 at the defaults), plus up to ``group_tokens - 1``
    newest tokens in bf16 while they do not fill a group.

    ``bits`` and ``residual_bits`` are the widths of a code in the first and second stage, 2, 3, 4
    or 8. ``group_tokens`` is a positive multiple of 8. ``container_bits`` (8 or 16) keeps each
    code in an integer of that width, as the study did.
    """

    name: ClassVar[str] = "prq"

    bits: int = field(default=4, validator=one_of(*WIDTHS))
    residual_bits: int = field(default=4, validator=one_of(*WIDTHS))
    group_tokens: int = field(default=16, validator=group_size)
    container_bits: int | None = field(default=None, validator=optional(one_of(*CONTAINERS)))
    key: TensorCodec = field(init=False)
    value: TensorCodec = field(init=False)

    def __attrs_post_init__(self) -> None:
        # Not by factories: those run before the parameters are validated.
        object.__setattr__(self, "key", self._stages())
        object.__setattr__(self, "value", self._stages())

    def _stages(self) -> Residual:
        first, second = (
            Symmetric(bits=bits, group_tokens=self.group_tokens, container_bits=self.container_bits)
            for bits in (self.bits, self.residual_bits)
        )
        return Residual(first, second)
