"""The part ``spatial``."""

from __future__ import annotations

from typing import ClassVar

import torch
from attrs import Attribute, field, frozen
from torch import Tensor

from kvbench_core.cache import CacheContext, KVCodec, LayerCache
from kvbench_core.errors import ParameterError
from kvbench_core.params import at_least, one_of, part_of, share
from kvbench_core.policy import Promise, Tiering
from kvbench_spatial.cache import SpatialCache


def _check_max(spatial: Spatial, attribute: Attribute[float], value: float) -> None:
    share()(spatial, attribute, value)
    if value < spatial.min_share:
        rule = f"at least min_share ({spatial.min_share})"
        raise ParameterError(spatial.name, attribute.name, rule, value)


def _check_target(spatial: Spatial, attribute: Attribute[float], value: float) -> None:
    share()(spatial, attribute, value)
    if not spatial.min_share <= value <= spatial.max_share:
        rule = f"between min_share and max_share ({spatial.min_share} to {spatial.max_share})"
        raise ParameterError(spatial.name, attribute.name, rule, value)


@frozen
class Spatial(Tiering):
    """Positions whose values change most between frames by ``foreground``, others by the codec.

    With ``m[f, p] = mean |V|`` over batch, heads and channels at position ``p`` of frame ``f``,
    and ``P`` positions in a frame::

        var[p] = population variance of m[f, p] over the frames up to the chunk's last
        c      = number of positions with var[p] > threshold
        lo, hi, target = max(1, round(share * P)) of min_share, max_share, target_share

    the foreground is the ``target`` positions of largest variance (``policy="top-k"``), the
    ``c`` largest clamped to ``lo .. hi`` (``"threshold"``), or the ``c`` largest if
    ``lo <= c <= hi`` and ``target`` of them otherwise (``"hybrid"``).

    Stored besides the two codecs' bytes: one bit per position and chunk and two float32 numbers
    per position. Sizes depend on the data unless the policy is ``"top-k"``; planned without data
    (on the meta device), the foreground has ``target_share``.
    """

    name: ClassVar[str] = "spatial"

    foreground: KVCodec = field(validator=part_of(KVCodec, "a codec such as rtn(bits=4)"))
    policy: str = field(default="hybrid", validator=one_of("hybrid", "top-k", "threshold"))
    min_share: float = field(default=0.45, validator=share())
    max_share: float = field(default=0.85, validator=_check_max)
    target_share: float = field(default=0.65, validator=_check_target)
    threshold: float = field(default=0.02, validator=at_least(0))

    def layer_cache(self, codec: KVCodec, layer: int, context: CacheContext) -> LayerCache:
        self.foreground.check(context.geometry)
        return SpatialCache(
            layer, context, foreground=self.foreground, background=codec, choose=self.mask
        )

    def promise(self, codec: KVCodec) -> Promise:
        return Promise(
            error_bound=codec.error_bound().widest(self.foreground.error_bound()),
            chunk_invariant=False,
            fixed_bytes=self.policy == "top-k"
            and codec.fixed_bytes
            and self.foreground.fixed_bytes,
        )

    def mask(self, variance: Tensor) -> Tensor:
        """The foreground, bool ``[position]`` in host memory; of equals the first ones."""
        if variance.is_meta:
            return torch.arange(len(variance)) < self._positions(self.target_share, variance)
        variance = variance.cpu()
        chosen = variance.argsort(descending=True, stable=True)[: self._kept(variance)]
        return torch.zeros(len(variance), dtype=torch.bool).index_fill_(0, chosen, True)

    def _kept(self, variance: Tensor) -> int:
        """How many positions are foreground."""
        lowest = self._positions(self.min_share, variance)
        highest = self._positions(self.max_share, variance)
        changing = int((variance > self.threshold).sum())
        if self.policy == "threshold":
            return min(max(changing, lowest), highest)
        if self.policy == "hybrid" and lowest <= changing <= highest:
            return changing
        return self._positions(self.target_share, variance)

    def _positions(self, share: float, variance: Tensor) -> int:
        return max(1, round(share * len(variance)))
