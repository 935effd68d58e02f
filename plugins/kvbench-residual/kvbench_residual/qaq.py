"""The part ``qaq``."""

from __future__ import annotations

from typing import ClassVar, Literal

from attrs import field, frozen

from kvbench_core.cache import KVCodec, TensorCodec
from kvbench_core.params import one_of, optional
from kvbench_quant import CONTAINERS, WIDTHS, ZERO_POINTS, Outliers, asymmetric, group_size, sigmas


@frozen
class Qaq(KVCodec):
    """Keys asymmetric per channel, values asymmetric per token, outliers of both apart.

    QAQ: Quality Adaptive Quantization for LLM KV Cache, arXiv 2403.04643, as the self-forcing
    KV-cache study (arXiv 2603.27469) has it: the outliers of :class:`kvbench_quant.Outliers` around
    the coders of ``kivi`` (:class:`kvbench_quant.Affine` for keys,
    :class:`kvbench_quant.ZeroPointAffine` for values). Stored: ``bits + 32 / group_tokens`` bits
    per element for keys and ``bits + 32 / (heads * dim)`` for values, 32 for each outlier, 16 for
    each group's count, plus up to ``group_tokens - 1`` newest tokens in bf16 while they do not fill
    a group. The number of outliers depends on the data; it is below ``1 / threshold^2`` of all
    values.

    ``bits`` is the width of a code, 2, 3, 4 or 8. ``threshold`` says from how many standard
    deviations on a value is an outlier. ``group_tokens`` is a positive multiple of 8.
    ``zero_point="clamped"`` is the study's arithmetic (:class:`kvbench_quant.ClampedAffine`).
    ``container_bits`` (8 or 16) keeps each code in an integer of that width, as the study did.

    Departures from the paper: one width for all tokens, where the paper predicts attention and
    adapts it.
    """

    name: ClassVar[str] = "qaq"

    bits: int = field(default=4, validator=one_of(*WIDTHS))
    threshold: float = field(default=6.0, validator=sigmas)
    group_tokens: int = field(default=16, validator=group_size)
    zero_point: str = field(default="exact", validator=one_of(*ZERO_POINTS))
    container_bits: int | None = field(default=None, validator=optional(one_of(*CONTAINERS)))
    key: TensorCodec = field(init=False)
    value: TensorCodec = field(init=False)

    def __attrs_post_init__(self) -> None:
        # Not by factories: those run before the parameters are validated.
        object.__setattr__(self, "key", self._outliers("channel"))
        object.__setattr__(self, "value", self._outliers("token"))

    def _outliers(self, per: Literal["channel", "token"]) -> Outliers:
        inner = asymmetric(
            per,
            self.zero_point,
            bits=self.bits,
            group_tokens=self.group_tokens,
            container_bits=self.container_bits,
        )
        return Outliers(inner, threshold=self.threshold)
