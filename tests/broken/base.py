"""Two correct policies to break: a packed 4-bit codec, and old chunks as frame means."""

from __future__ import annotations

import torch
from attrs import frozen
from torch import Tensor

from kvbench_core.cache import (
    CacheContext,
    ErrorBound,
    KVCodec,
    Planes,
    QueueCache,
    SegmentedCache,
    SummarySegment,
    TensorCodec,
)
from kvbench_core.cache.segment import StoredSegment
from kvbench_core.cache.store import TokenStore
from kvbench_core.policy import Composition, Policy, Promise

GROUP = 16


@frozen(eq=False)
class Nibbles(Planes):
    """``codes`` uint8 ``[batch, group, 8, head, dim]``, two tokens a byte; ``scale`` bf16."""

    codes: Tensor
    scale: Tensor


def grouped(x: Tensor) -> Tensor:
    """``[batch, token, head, dim]`` as float32 ``[batch, group, 16, head, dim]``."""
    x = x.float()
    missing = -x.shape[1] % GROUP
    if missing:
        x = torch.cat([x, x.new_zeros(x.shape[0], missing, *x.shape[2:])], dim=1)
    return x.unflatten(1, (-1, GROUP))


def flat(groups: Tensor, out: Tensor) -> None:
    """Write ``[batch, group, 16, head, dim]`` into ``out``."""
    limit = torch.finfo(out.dtype).max
    out.copy_(groups.flatten(1, 2)[:, : out.shape[1]].clamp(-limit, limit))


@frozen
class Sym4(TensorCodec):
    """``x ~ (code - 8) scale``, codes 1..15, one bf16 scale per 16 tokens and channel."""

    group_tokens = GROUP

    def scale(self, groups: Tensor) -> Tensor:
        return (groups.abs().amax(2) / 7).bfloat16()

    def round(self, x: Tensor) -> Tensor:
        return x.round()

    def encode(self, x: Tensor) -> Planes:
        groups = grouped(x)
        scale = self.scale(groups)
        step = scale.float().unsqueeze(2)
        codes = self.round(groups / torch.where(step > 0, step, 1)).clamp(-7, 7) + 8
        codes = codes.to(torch.uint8)
        return Nibbles(codes[:, :, 0::2] | codes[:, :, 1::2] << 4, scale)

    def decode(self, planes: Planes, out: Tensor) -> None:
        assert isinstance(planes, Nibbles)
        codes = torch.stack([planes.codes & 15, planes.codes >> 4], dim=3).flatten(2, 3)
        flat((codes.float() - 8) * planes.scale.float().unsqueeze(2), out)

    def error_bound(self) -> ErrorBound:
        return ErrorBound(relative=(15 / (14**2 + 15)) ** 0.5 + 0.01)


def pair(codec: TensorCodec) -> KVCodec:
    """One codec for keys and values."""
    return KVCodec(key=codec, value=codec)


def coded(codec: TensorCodec) -> Composition:
    """The policy that keeps everything by one codec."""
    return Composition(codec=pair(codec))


class SummaryCache(SegmentedCache):
    """The newest chunk as it is, older ones as one mean key and value per frame."""

    def __init__(self, layer: int, context: CacheContext) -> None:
        super().__init__(layer, context)
        self.newest = TokenStore(Composition().codec)
        self.origin = 0
        self.means = None

    def write(self, k, v, step):
        frame = step.geometry.tokens_per_frame
        if self.newest.tokens:
            old = torch.empty((2, *k.shape[:1], self.newest.tokens, *k.shape[2:]), dtype=k.dtype)
            old = old.to(k.device)
            self.newest.read(0, self.newest.tokens, *old)
            means = (old.unflatten(2, (-1, frame)).float() / frame).sum(3).to(k.dtype)
            self.means = means if self.means is None else torch.cat([self.means, means], dim=2)
            self.origin += self.newest.tokens
            self.newest.drop_front(self.newest.tokens)
        self.newest.append(k, v)

    def segments(self):
        frame = self.context.geometry.tokens_per_frame
        if self.means is not None:
            k, v = self.means
            yield SummarySegment(start=0, stop=self.origin, multiplicity=frame, k=k, v=v, origin=0)
        if self.newest.tokens:
            stop = self.origin + self.newest.tokens
            yield StoredSegment(start=self.origin, stop=stop, store=self.newest, origin=self.origin)


@frozen
class Caches(Policy):
    """Makes caches of one class, given ``layer`` and ``context``."""

    cache: type
    promised: Promise

    def layer_cache(self, layer, context):
        return self.cache(layer, context)

    def promise(self):
        return self.promised


SUMMARISED = Promise(error_bound=None, codings=None, keeps_all=True, chunk_invariant=False)
KEPT = Promise(error_bound=Sym4().error_bound())


class Sym4Cache(QueueCache):
    """All history by :class:`Sym4`."""

    def __init__(self, layer: int, context: CacheContext) -> None:
        super().__init__(layer, context, tiers=(), last=pair(Sym4()))
