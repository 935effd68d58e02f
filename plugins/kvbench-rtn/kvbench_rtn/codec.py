"""The part ``rtn``."""

from __future__ import annotations

from typing import ClassVar

from attrs import Factory, field, frozen

from kvbench_core.cache import KVCodec, TensorCodec
from kvbench_core.params import one_of, optional
from kvbench_quant import CONTAINERS, WIDTHS, Symmetric, group_size


@frozen
class Rtn(KVCodec):
    """K and V rounded to nearest, each channel of ``group_tokens`` tokens with a scale of its own.

    The formula is :class:`kvbench_quant.Symmetric`'s. Stored: ``bits + 16 / group_tokens`` bits
    per element (5 at the defaults), plus up to ``group_tokens - 1`` newest tokens in bf16 while
    they do not fill a group.

    ``bits`` is the width of a code, 2, 3, 4 or 8; ``key_bits`` and ``value_bits`` replace it for
    keys or values alone. ``group_tokens`` is a positive multiple of 8. ``container_bits`` (8 or
    16) keeps each code in an integer of that width, as the published study did, so that the memory
    that it measured can be shown beside the packed one.
    """

    name: ClassVar[str] = "rtn"

    bits: int = field(default=4, validator=one_of(*WIDTHS))
    key_bits: int | None = field(default=None, validator=optional(one_of(*WIDTHS)))
    value_bits: int | None = field(default=None, validator=optional(one_of(*WIDTHS)))
    group_tokens: int = field(default=16, validator=group_size)
    container_bits: int | None = field(default=None, validator=optional(one_of(*CONTAINERS)))
    key: TensorCodec = field(
        init=False, default=Factory(lambda rtn: rtn._symmetric(rtn.key_bits), takes_self=True)
    )
    value: TensorCodec = field(
        init=False, default=Factory(lambda rtn: rtn._symmetric(rtn.value_bits), takes_self=True)
    )

    def _symmetric(self, bits: int | None) -> Symmetric:
        return Symmetric(
            bits=self.bits if bits is None else bits,
            group_tokens=self.group_tokens,
            container_bits=self.container_bits,
        )
