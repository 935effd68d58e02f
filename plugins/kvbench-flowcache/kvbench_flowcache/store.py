"""Latent frames, each coded by itself."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
from attrs import frozen
from torch import Tensor

from kvbench_core.cache import CacheContext, ErrorBound, KVCodec, Planes, TensorCodec
from kvbench_core.cache.codec import DensePlanes


class FrameStore:
    """A set of latent frames kept by one codec; any of them can leave, the others stay as coded.

    Each frame's tokens are groups of their own (a last one that is not full costs 0.5 % on Wan),
    and planes are stacked along their batch axis, ``[frame * batch, group, ...]`` in ascending
    order of frames, so that many frames are coded and decoded by one call. Where the codec keeps
    one key for ``tokens_per_key`` tokens, :meth:`read` writes each key once.
    """

    def __init__(self, codec: KVCodec, context: CacheContext, tokens_per_key: int = 1) -> None:
        self.codec = codec
        self.context = context
        self.tokens_per_key = tokens_per_key
        self.frames: tuple[int, ...] = ()
        self._planes: tuple[Planes, Planes] | None = None

    def put(self, frames: Sequence[int], k: Tensor, v: Tensor) -> None:
        """Code ``frames``, given as ``[batch, frame, token, head, dim]``; neither is kept."""
        key = _encoded(self.codec.key, k.transpose(0, 1).flatten(0, 1))
        value = _encoded(self.codec.value, v.transpose(0, 1).flatten(0, 1))
        if self._planes is not None:
            key, value = self._planes[0].join(key, 0), self._planes[1].join(value, 0)
        together = (*self.frames, *frames)
        order = sorted(range(len(together)), key=together.__getitem__)
        self._planes, self.frames = (key, value), tuple(together[slot] for slot in order)
        if order != list(range(len(order))):
            self._planes = self._picked(order)

    def keep(self, frames: Sequence[int]) -> None:
        """Forget all frames but these."""
        if not frames:
            self._planes, self.frames = None, ()
        elif len(frames) < len(self.frames):
            self._planes = self._picked(self._slots(frames))
            self.frames = tuple(sorted(frames))

    def decoded(self, frames: Sequence[int]) -> tuple[Tensor, Tensor]:
        """K and V of some frames in ascending order, ``[batch, frame, key, head, dim]``."""
        geometry, context = self.context.geometry, self.context
        keys = geometry.tokens_per_frame // self.tokens_per_key
        shape = (2, geometry.batch, len(frames) * keys, geometry.heads, geometry.head_dim)
        k, v = torch.empty(shape, dtype=context.dtype, device=context.device)
        if not k.is_meta:
            self._decode(self._picked(self._slots(frames)), len(frames), k, v)
        return by_frame(k, keys), by_frame(v, keys)

    def read(self, first: int, last: int, k_out: Tensor, v_out: Tensor) -> None:
        """Decode the frames in slots ``first <= s < last``, ``[batch, key, head, dim]``.

        The buffers hold one key for every ``tokens_per_key`` tokens, or one for every token.
        """
        batch = self.context.geometry.batch
        planes = self._rows(slice(first * batch, last * batch))
        self._decode(planes, last - first, k_out, v_out)

    def _decode(
        self, planes: tuple[Planes, Planes], frames: int, k_out: Tensor, v_out: Tensor
    ) -> None:
        batch = self.context.geometry.batch
        codecs = (self.codec.key, self.codec.value)
        for codec, coded, out in zip(codecs, planes, (k_out, v_out), strict=True):
            for video in range(batch):
                one = coded if batch == 1 else coded.rows(slice(video, None, batch))
                codec.decode(one, out[video].view(frames, -1, *out.shape[2:]))

    def _slots(self, frames: Sequence[int]) -> list[int]:
        return sorted(self.frames.index(frame) for frame in frames)

    def _rows(self, which: slice | Tensor) -> tuple[Planes, Planes]:
        assert self._planes is not None
        return self._planes[0].rows(which), self._planes[1].rows(which)

    def _picked(self, slots: Sequence[int]) -> tuple[Planes, Planes]:
        """Planes of some slots in memory of their own."""
        batch = self.context.geometry.batch
        rows = [slot * batch + video for slot in slots for video in range(batch)]
        if rows == list(range(rows[0], rows[-1] + 1)):  # spares the device a copy of indices
            key, value = self._rows(slice(rows[0], rows[-1] + 1))
            return key.copy(), value.copy()
        return self._rows(torch.tensor(rows, device=self.context.device))


def _encoded(codec: TensorCodec, x: Tensor) -> Planes:
    return _planned(codec, x.shape, x.dtype).copy() if x.is_meta else codec.encode(x)


@lru_cache(maxsize=256)
def _planned(codec: TensorCodec, shape: torch.Size, dtype: torch.dtype) -> Planes:
    """Planes without memory. Coding meta tensors takes nearly all the time of planning."""
    return codec.encode(torch.empty(shape, dtype=dtype, device="meta"))


def by_frame(x: Tensor, keys: int) -> Tensor:
    """A view ``[batch, frame, key, head, dim]`` of ``[batch, frame * key, head, dim]``."""
    batch, total, heads, dim = x.shape
    return x.view(batch, total // keys, keys, heads, dim)


@frozen
class Mean(TensorCodec):
    """One row for all tokens: their mean per head and channel, in the cache's dtype (bf16).

    Each frame is summed by itself: how a device orders a sum depends on the tensor's shape, and
    the mean of a frame must not depend on which others are pruned together with it.
    """

    def encode(self, x: Tensor) -> DensePlanes:
        # Divided first: a sum over bf16's largest values overflows float32.
        means = [(frame.float() / len(frame)).sum(0, keepdim=True) for frame in x]
        return DensePlanes(torch.stack(means).to(x.dtype))

    def decode(self, planes: Planes, out: Tensor) -> None:
        assert isinstance(planes, DensePlanes)
        out.copy_(planes.values)

    def error_bound(self) -> ErrorBound:
        return ErrorBound(relative=1.0)


MEAN = KVCodec(key=Mean(), value=Mean())
