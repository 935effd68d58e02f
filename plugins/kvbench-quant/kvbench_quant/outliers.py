"""Values far from the mean, kept apart from the rest."""

from __future__ import annotations

import math
from typing import Any

import torch
from attrs import Attribute, Factory, field, frozen
from torch import Tensor

from kvbench_core.cache import ErrorBound, Planes, TensorCodec
from kvbench_core.errors import ParameterError
from kvbench_core.geometry import CacheGeometry
from kvbench_quant.sparse import LARGEST_VALUE, SparsePlanes, gather, scatter_


@frozen(eq=False)
class OutlierPlanes(Planes):
    """What the inner codec keeps, and the values that it does not see."""

    inner: Planes
    outliers: SparsePlanes


@frozen
class Outliers(TensorCodec):
    """``inner`` codes ``x`` clamped; the values beyond the clamp are stored by themselves.

    For the tokens that are encoded together, each video of the batch by itself::

        sigma = population standard deviation over all tokens, heads and channels
        reach = threshold * sigma
        x^    = fp16(x) where |x - mean| > reach, elsewhere inner's, of clamp(x, mean -+ reach)

    Padding takes no part. By Chebyshev's inequality less than ``1 / threshold^2`` of all values
    are outliers, whatever the data. ``max_share`` limits them further, to the farthest from the
    mean: ``reach`` grows until they are no more. Each outlier takes 16 bits for its value (beyond
    65504 it saturates) and 16 for its place in its group, or 32 where a group has more than
    32767 elements; each group takes as many for its count.

    Bounds are computed in float64 and rounded to the dtype of ``x``. Without data (on the meta
    device) there are no outliers.
    """

    inner: TensorCodec
    threshold: float = 6.0
    max_share: float | None = None
    group_tokens: int = field(
        init=False, default=Factory(lambda self: self.inner.group_tokens, takes_self=True)
    )

    def encode(self, x: Tensor) -> OutlierPlanes:
        inside = x.clamp(*self.bounds(x))
        outliers = gather(x, inside != x, self.group_tokens)
        return OutlierPlanes(self.inner.encode(inside), outliers)

    def bounds(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Smallest and largest value of each video that is no outlier, ``[batch, 1, 1, 1]``."""
        distance = x.double()  # bf16's range squared overflows float32
        mean = distance.mean((1, 2, 3), keepdim=True)
        distance -= mean
        elements = x[0].numel()
        sigma = torch.linalg.vector_norm(distance, dim=(1, 2, 3), keepdim=True) / elements**0.5
        reach = self.threshold * sigma
        if self.max_share is not None:
            most = math.floor(self.max_share * elements)
            distance.abs_()
            if x.is_meta or ((distance > reach).sum((1, 2, 3)) > most).any():  # rarely: sorting
                farther = _largest(distance.flatten(1), most + 1)
                reach = torch.maximum(reach, farther.view_as(reach))
        return (mean - reach).to(x.dtype), (mean + reach).to(x.dtype)

    def decode(self, planes: Planes, out: Tensor) -> None:
        assert isinstance(planes, OutlierPlanes)
        self.inner.decode(planes.inner, out)
        scatter_(out, planes.outliers, self.group_tokens)

    @property
    def fixed_bytes(self) -> bool:
        return False

    @property
    def chunk_invariant(self) -> bool:
        return False

    def check(self, geometry: CacheGeometry) -> None:
        self.inner.check(geometry)

    def error_bound(self) -> ErrorBound:
        """``inner``'s bound of the clamped tensor, and fp16's rounding of the outliers.

        Clamping moves values towards the mean, so it raises no magnitude above the largest one. It
        may raise outliers' magnitudes, if zero is an outlier; but then ``1 - 1 / threshold^2`` of
        all values are at least as large, so that norm^2 grows by less than
        ``1 / (threshold^2 - 1)`` of itself.
        """
        inner = self.inner.error_bound()
        growth = self.threshold / math.sqrt(self.threshold**2 - 1)
        return ErrorBound(
            relative=inner.relative * growth + 2**-11,
            absolute=inner.absolute + 2**-25,
            peak=inner.peak,
            largest=min(inner.largest, LARGEST_VALUE),
        )


def sigmas(instance: object, attribute: Attribute[Any], value: Any) -> None:
    """attrs validator of ``threshold``: from 1 down, Chebyshev's inequality says nothing.

    Raises:
        ParameterError: not a finite number greater than 1.
    """
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not 1 < value < math.inf:
        owner = str(getattr(instance, "name", type(instance).__name__))
        raise ParameterError(owner, attribute.name, "a number greater than 1", value)


def _largest(x: Tensor, rank: int) -> Tensor:
    """The ``rank``-th largest of each row of ``[row, element]``; 0 if there are fewer."""
    if rank > x.shape[1]:
        return x.new_zeros(x.shape[0])
    return x.topk(rank, dim=1, sorted=False).values.amin(1)
