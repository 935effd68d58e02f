"""The part ``kivi``."""

from __future__ import annotations

from typing import ClassVar, Literal

from attrs import field, frozen

from kvbench_core.cache import KVCodec, TensorCodec
from kvbench_core.params import one_of, optional
from kvbench_quant import CONTAINERS, WIDTHS, ZERO_POINTS, Affine, asymmetric, group_size


@frozen
class Kivi(KVCodec):
    """Keys asymmetric per channel, values asymmetric per token.

    KIVI: A Tuning-Free Asymmetric 2bit Quantization for KV Cache, arXiv 2402.02750. Each channel of
    ``group_tokens`` keys has a minimum and a scale of its own (:class:`kvbench_quant.Affine`), each
    token's value over all heads and channels an integer zero point and a scale
    (:class:`kvbench_quant.ZeroPointAffine`). Stored, in bits per element:
    ``bits + 32 / group_tokens`` for keys, ``bits + 32 / (heads * dim)`` for values (6 and 4.02 at
    the defaults on Wan), plus up to ``group_tokens - 1`` newest tokens in bf16 while they do not
    fill a group.

    ``bits`` is the width of a code, 2, 3, 4 or 8; ``key_bits`` and ``value_bits`` replace it for
    keys or values alone. ``group_tokens`` is a positive multiple of 8. ``zero_point="clamped"`` is
    the published study's arithmetic (:class:`kvbench_quant.ClampedAffine`), which loses channels
    that lie far from zero on one side. ``container_bits`` (8 or 16) keeps each code in an integer
    of that width, as the study did.

    Departures from the paper: no window of full precision unless ``recent`` adds one; one group of
    a value is the whole token, as in the study, where the paper has 32 channels, and zero is one of
    its levels, where the paper has its minimum.
    """

    name: ClassVar[str] = "kivi"

    bits: int = field(default=4, validator=one_of(*WIDTHS))
    key_bits: int | None = field(default=None, validator=optional(one_of(*WIDTHS)))
    value_bits: int | None = field(default=None, validator=optional(one_of(*WIDTHS)))
    group_tokens: int = field(default=16, validator=group_size)
    zero_point: str = field(default="exact", validator=one_of(*ZERO_POINTS))
    container_bits: int | None = field(default=None, validator=optional(one_of(*CONTAINERS)))
    key: TensorCodec = field(init=False)
    value: TensorCodec = field(init=False)

    def __attrs_post_init__(self) -> None:
        # Not by factories: those run before the parameters are validated.
        object.__setattr__(self, "key", self._affine(self.key_bits, "channel"))
        object.__setattr__(self, "value", self._affine(self.value_bits, "token"))

    def _affine(self, bits: int | None, per: Literal["channel", "token"]) -> Affine:
        return asymmetric(
            per,
            self.zero_point,
            bits=self.bits if bits is None else bits,
            group_tokens=self.group_tokens,
            container_bits=self.container_bits,
        )
