"""Latent frames, each coded by itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from attrs import evolve, fields, frozen
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
        new = (
            self.codec.key.encode(k.transpose(0, 1).flatten(0, 1)),
            self.codec.value.encode(v.transpose(0, 1).flatten(0, 1)),
        )
        if self._planes is not None:
            key, value = zip(self._planes, new, strict=True)
            new = _joined(*key), _joined(*value)
        together = (*self.frames, *frames)
        order = sorted(range(len(together)), key=together.__getitem__)
        self._planes, self.frames = new, tuple(together[slot] for slot in order)
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
        """K and V of some frames, ``[batch, frame, key, head, dim]``."""
        geometry, context = self.context.geometry, self.context
        keys = geometry.tokens_per_frame // self.tokens_per_key
        shape = (2, geometry.batch, len(frames) * keys, geometry.heads, geometry.head_dim)
        k, v = torch.empty(shape, dtype=context.dtype, device=context.device)
        self._decode(self._picked(self._slots(frames)), k, v)
        return by_frame(k, keys), by_frame(v, keys)

    def read(self, first: int, last: int, k_out: Tensor, v_out: Tensor) -> None:
        """Decode the frames in slots ``first <= s < last``, ``[batch, key, head, dim]``.

        The buffers hold one key for every ``tokens_per_key`` tokens, or one for every token.
        """
        batch = self.context.geometry.batch
        rows = slice(first * batch, last * batch)
        self._decode(self._each(lambda plane: plane[rows]), k_out, v_out)

    def _decode(self, planes: tuple[Planes, Planes], k_out: Tensor, v_out: Tensor) -> None:
        batch = self.context.geometry.batch
        codecs = (self.codec.key, self.codec.value)
        for codec, coded, out in zip(codecs, planes, (k_out, v_out), strict=True):
            frames = coded.tensors()[0].shape[0] // batch
            for video in range(batch):
                codec.decode(
                    _each_th(coded, video, batch), out[video].view(frames, -1, *out.shape[2:])
                )

    def _slots(self, frames: Sequence[int]) -> list[int]:
        return sorted(self.frames.index(frame) for frame in frames)

    def _picked(self, slots: Sequence[int]) -> tuple[Planes, Planes]:
        """Planes of some slots in memory of their own."""
        batch = self.context.geometry.batch
        rows = [slot * batch + video for slot in slots for video in range(batch)]
        if rows == list(range(rows[0], rows[-1] + 1)):  # spares the device a copy of indices
            run = slice(rows[0], rows[-1] + 1)
            return self._each(lambda plane: plane[run].clone())
        index = torch.tensor(rows, device=self.context.device)
        return self._each(lambda plane: plane.index_select(0, index))

    def _each(self, function: Callable[[Tensor], Tensor]) -> tuple[Planes, Planes]:
        assert self._planes is not None
        key, value = (_mapped(run, function) for run in self._planes)
        return key, value


def by_frame(x: Tensor, keys: int) -> Tensor:
    """A view ``[batch, frame, key, head, dim]`` of ``[batch, frame * key, head, dim]``."""
    batch, total, heads, dim = x.shape
    return x.view(batch, total // keys, keys, heads, dim)


def _mapped(planes: Planes, function: Callable[[Tensor], Tensor]) -> Planes:
    names = [plane.name for plane in fields(type(planes))]
    return evolve(planes, **{name: function(getattr(planes, name)) for name in names})


def _each_th(planes: Planes, first: int, step: int) -> Planes:
    return _mapped(planes, lambda plane: plane[first::step])


def _joined(first: Planes, later: Planes) -> Planes:
    names = [plane.name for plane in fields(type(first))]
    joined = {name: torch.cat([getattr(first, name), getattr(later, name)]) for name in names}
    return evolve(first, **joined)


@frozen
class Mean(TensorCodec):
    """One row for all tokens: their mean per head and channel, in the cache's dtype (bf16)."""

    def encode(self, x: Tensor) -> DensePlanes:
        # Divided first: a sum over bf16's largest values overflows float32.
        return DensePlanes((x.float() / x.shape[1]).sum(1, keepdim=True).to(x.dtype))

    def decode(self, planes: Planes, out: Tensor) -> None:
        assert isinstance(planes, DensePlanes)
        out.copy_(planes.values)

    def error_bound(self) -> ErrorBound:
        return ErrorBound(relative=1.0)


MEAN = KVCodec(key=Mean(), value=Mean())
