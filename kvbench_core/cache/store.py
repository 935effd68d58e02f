"""Tokens in order, kept by one codec."""

from __future__ import annotations

import torch
from torch import Tensor

from kvbench_core.cache.codec import KVCodec, Planes, TensorCodec
from kvbench_core.cache.gap import Gap


class TokenStore:
    """A queue of tokens: append at the end, drop from the front, forget in between, decode.

    Tokens are coded once, in whole groups of the codec's ``group_tokens``. What does not fill a
    group waits uncoded until more tokens come, because a group of 16 divides neither a Wan frame
    (1560 tokens) nor a chunk (4680): the wait is bounded by one group, and no token is ever
    coded twice. Positions are counted from the store's oldest token, forgotten ones included.
    """

    def __init__(self, codec: KVCodec) -> None:
        self.codec = codec
        self.tokens = 0
        self.gap = Gap()
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
        """Remove the oldest ``tokens``, a figure that :meth:`movable` gave."""
        if tokens == self.tokens:
            self._planes, self._waiting, self.gap = None, None, Gap()
        elif tokens:
            self._keep([(tokens, self.coded_tokens)])
            self.gap = Gap(max(0, self.gap.start - tokens), max(0, self.gap.stop - tokens))
        self.tokens -= tokens

    def forget(self, start: int, stop: int) -> None:
        """Free the whole groups of tokens in ``start <= t < stop``; no position changes.

        The range contains those of earlier calls. What waits for its group stays.
        """
        group = self.codec.group_tokens
        first = -(-max(0, start) // group) * group
        last = min(stop, self.coded_tokens) // group * group
        if first < last and self.gap != Gap(first, last):
            self._keep([(0, first), (last, self.coded_tokens)])
            self.gap = Gap(first, last)

    def _keep(self, runs: list[tuple[int, int]]) -> None:
        """Free all coded tokens but ``runs``, which begin and end between groups."""
        slots = [(self.gap.slot(start), self.gap.slot(stop)) for start, stop in runs]
        slots = [(first, last) for first, last in slots if first < last]
        if self._planes is None or not slots:
            self._planes = None
            return
        key, value = self._planes
        self._planes = (
            _kept(key, self.codec.key.group_tokens, slots),
            _kept(value, self.codec.value.group_tokens, slots),
        )

    def read(self, start: int, stop: int, k_out: Tensor, v_out: Tensor) -> None:
        """Decode tokens ``start <= t < stop`` into ``[batch, stop - start, head, dim]`` buffers.

        None of them is forgotten.
        """
        coded = min(stop, self.coded_tokens)
        if start < coded:
            assert self._planes is not None
            first, last = self.gap.slot(start), self.gap.slot(coded)
            for codec, planes, out in (
                (self.codec.key, self._planes[0], k_out),
                (self.codec.value, self._planes[1], v_out),
            ):
                _decode_range(codec, planes, first, last, out[:, : coded - start])
        if coded < stop:
            assert self._waiting is not None
            first = max(start, coded)
            for waiting, out in zip(self._waiting, (k_out, v_out), strict=True):
                out[:, first - start :].copy_(
                    waiting[:, first - self.coded_tokens : stop - self.coded_tokens]
                )


def _kept(planes: Planes, group_tokens: int, runs: list[tuple[int, int]]) -> Planes:
    """One or two runs of tokens behind one another, in memory of their own."""
    first, *others = (
        planes.groups(start // group_tokens, stop // group_tokens) for start, stop in runs
    )
    return first.join(others[0]) if others else first.copy()


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
