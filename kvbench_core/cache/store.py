"""Tokens in order, kept by one codec."""

from __future__ import annotations

import torch
from torch import Tensor

from kvbench_core.cache.codec import KVCodec, Planes, TensorCodec


class TokenStore:
    """A queue of tokens: append at the end, take from the front, decode any range.

    Tokens are coded once, in whole groups of the codec's ``group_tokens``. What does not fill a
    group waits uncoded until more tokens come, because a group of 16 divides neither a Wan frame
    (1560 tokens) nor a chunk (4680): the wait is bounded by one group, and no token is ever
    coded twice. Positions are counted from the store's oldest token.
    """

    def __init__(self, codec: KVCodec) -> None:
        self.codec = codec
        self.tokens = 0
        self._planes: tuple[Planes, Planes] | None = None
        self._waiting: tuple[Tensor, Tensor] | None = None

    def append(self, k: Tensor, v: Tensor) -> None:
        """Add ``k``, ``v`` ``[batch, token, head, dim]``; neither is kept or changed."""
        self.tokens += k.shape[1]
        if self._waiting is not None:
            k = torch.cat([self._waiting[0], k], dim=1)
            v = torch.cat([self._waiting[1], v], dim=1)
        whole = k.shape[1] // self.codec.group_tokens * self.codec.group_tokens
        if whole:
            self._append_planes(
                self.codec.key.encode(k[:, :whole]), self.codec.value.encode(v[:, :whole])
            )
        self._waiting = (k[:, whole:].clone(), v[:, whole:].clone()) if whole < k.shape[1] else None

    def _append_planes(self, key: Planes, value: Planes) -> None:
        if self._planes is None:
            self._planes = (key, value)
        else:
            self._planes = (self._planes[0].join(key), self._planes[1].join(value))

    @property
    def coded_tokens(self) -> int:
        return self.tokens - (0 if self._waiting is None else self._waiting[0].shape[1])

    def movable(self, tokens: int) -> int:
        """The most tokens, at most ``tokens``, that can leave the front in whole groups."""
        group = self.codec.group_tokens
        return self.tokens if tokens >= self.tokens else tokens // group * group

    def drop_front(self, tokens: int) -> None:
        """Forget the oldest ``tokens``, a figure that :meth:`movable` gave."""
        if tokens == self.tokens:
            self._planes, self._waiting = None, None
        elif tokens:
            assert self._planes is not None
            key, value = self._planes
            self._planes = (
                self._cut(key, self.codec.key.group_tokens, tokens),
                self._cut(value, self.codec.value.group_tokens, tokens),
            )
        self.tokens -= tokens

    def _cut(self, planes: Planes, group_tokens: int, tokens: int) -> Planes:
        return planes.groups(tokens // group_tokens, self.coded_tokens // group_tokens).copy()

    def read(self, start: int, stop: int, k_out: Tensor, v_out: Tensor) -> None:
        """Decode tokens ``start <= t < stop`` into ``[batch, stop - start, head, dim]`` buffers."""
        coded = min(stop, self.coded_tokens)
        if start < coded:
            assert self._planes is not None
            for codec, planes, out in (
                (self.codec.key, self._planes[0], k_out),
                (self.codec.value, self._planes[1], v_out),
            ):
                _decode_range(codec, planes, start, coded, out[:, : coded - start])
        if coded < stop:
            assert self._waiting is not None
            first = max(start, coded)
            for waiting, out in zip(self._waiting, (k_out, v_out), strict=True):
                out[:, first - start :].copy_(
                    waiting[:, first - self.coded_tokens : stop - self.coded_tokens]
                )


def _decode_range(codec: TensorCodec, planes: Planes, start: int, stop: int, out: Tensor) -> None:
    """Decode tokens ``start <= t < stop``; a group cut at its front is decoded aside."""
    group = codec.group_tokens
    aligned = min(-(-start // group) * group, stop)
    if start < aligned:
        aside = out.new_empty(out.shape[0], aligned - (start // group) * group, *out.shape[2:])
        codec.decode(planes.groups(start // group, start // group + 1), aside)
        out[:, : aligned - start].copy_(aside[:, start % group :])
    if aligned < stop:
        codec.decode(planes.groups(aligned // group, -(-stop // group)), out[:, aligned - start :])
