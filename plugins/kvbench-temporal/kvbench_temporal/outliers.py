"""The part ``key_outliers``."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from attrs import Factory, field, frozen, validate
from torch import Tensor

from kvbench_core.cache import ErrorBound, KVCodec, TensorCodec
from kvbench_core.params import one_of, optional, part_of, share
from kvbench_quant import OutlierPlanes, Outliers, sigmas
from kvbench_quant.sparse import LARGEST_VALUE, gather


@frozen
class PublishedOutliers(Outliers):
    """The published study's rule: outliers are stored by themselves and coded all the same.

    For the tokens that are encoded together, each video of the batch by itself::

        sigma = population standard deviation over all tokens, heads and channels
        x^    = fp16(x) where |x| > threshold * sigma, elsewhere inner's, of all of x

    If more than ``floor(max_share * elements)`` qualify, only the largest of them are stored. The
    others, and the stored ones too, set ``inner``'s scales, so their neighbours gain nothing.
    """

    def encode(self, x: Tensor) -> OutlierPlanes:
        outliers = gather(x, self._chosen(x), self.group_tokens)
        return OutlierPlanes(self.inner.encode(x), outliers)

    def _chosen(self, x: Tensor) -> Tensor:
        """Which elements are outliers, bool, like ``x``."""
        sigma = x.double().std(dim=(1, 2, 3), correction=0, keepdim=True)
        magnitude = x.abs()
        chosen = magnitude > self.threshold * sigma
        if self.max_share is None:
            return chosen
        most = math.floor(self.max_share * magnitude[0].numel())
        largest = magnitude.flatten(1).topk(most, dim=1, sorted=False).indices
        stored = torch.zeros_like(chosen).flatten(1).scatter_(1, largest, value=True)
        return chosen & stored.view_as(chosen)

    def error_bound(self) -> ErrorBound:
        """``inner``'s bound, and fp16's rounding of the outliers."""
        inner = self.inner.error_bound()
        return ErrorBound(
            relative=inner.relative + 2**-11,
            absolute=inner.absolute + 2**-25,
            peak=inner.peak,
            largest=min(inner.largest, LARGEST_VALUE),
        )


RULES: dict[str, type[Outliers]] = {"apart": Outliers, "published": PublishedOutliers}


@frozen
class KeyOutliers(KVCodec):
    """Keys far from the mean stored by themselves; all other keys, and the values, by ``inner``.

    ``threshold`` is in standard deviations of the keys that are encoded together, ``max_share``
    the largest part of them that may be outliers (``None``: no limit). Each outlier takes 32 bits
    at Wan's size. ``rule`` is ``"apart"`` (:class:`kvbench_quant.Outliers`: ``inner``
    does not see them) or ``"published"`` (:class:`PublishedOutliers`: it does).
    """

    name: ClassVar[str] = "key_outliers"

    inner: KVCodec = field(validator=part_of(KVCodec, "a codec such as rtn(bits=4)"))
    threshold: float = field(default=6.0, validator=sigmas)
    max_share: float | None = field(default=0.001, validator=optional(share()))
    rule: str = field(default="apart", validator=one_of(*RULES))
    key: TensorCodec = field(
        init=False, default=Factory(lambda self: self._key_codec(), takes_self=True)
    )
    value: TensorCodec = field(
        init=False, default=Factory(lambda self: self.inner.value, takes_self=True)
    )

    def _key_codec(self) -> TensorCodec:
        validate(self)  # attrs itself would do so only after this default has been made
        return RULES[self.rule](self.inner.key, self.threshold, self.max_share)
