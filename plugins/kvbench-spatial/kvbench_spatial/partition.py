"""Which tokens of the rollout are foreground, and where each part keeps them."""

from __future__ import annotations

from itertools import accumulate

import numpy as np
import torch
from attrs import frozen
from torch import Tensor

from kvbench_core.cache import Segment, TokenStore


class Partition:
    """One mask for all frames that were written together, one bit per position.

    Foreground and background each number their tokens in order of time; that number is the
    token's place in the part's store.
    """

    def __init__(self, positions: int) -> None:
        self._positions = positions
        self._masks: list[Tensor] = []  # uint8 [positions / 8], in host memory
        self._mask_of_frame: list[int] = []
        self._foreground_before = [0]  # by frame

    @property
    def tokens(self) -> int:
        return len(self._mask_of_frame) * self._positions

    def append(self, mask: Tensor, frames: int) -> None:
        """``frames`` more frames whose foreground is ``mask``, bool ``[position]``."""
        self._mask_of_frame += [len(self._masks)] * frames
        self._masks.append(torch.from_numpy(np.packbits(mask.numpy())))
        kept = int(mask.sum())
        last = self._foreground_before[-1]
        self._foreground_before += accumulate([kept] * (frames - 1), initial=last + kept)

    def rank(self, token: int, foreground: bool) -> int:
        """How many tokens of a part come before ``token``."""
        frame, position = divmod(token, self._positions)
        before = self._foreground_before[frame]
        if position:
            before += int(self._unpacked(frame, frame + 1)[0, :position].sum())
        return before if foreground else token - before

    def tokens_of(self, foreground: bool, start: int, stop: int) -> Tensor:
        """Positions in the rollout of a part's tokens, ``start <= t < stop``, ascending."""
        frame, last = start // self._positions, -(-stop // self._positions)
        first = frame * self._positions
        chosen = self._unpacked(frame, last).flatten()[start - first : stop - first] == foreground
        return torch.from_numpy(np.flatnonzero(chosen) + start)

    def _unpacked(self, first: int, last: int) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
        """The masks of frames ``first <= f < last``, ``[frame, position]``."""
        packed = np.stack([self._masks[mask].numpy() for mask in self._mask_of_frame[first:last]])
        return np.unpackbits(packed, axis=1, count=self._positions)


@frozen(eq=False, kw_only=True)
class PartSegment(Segment):
    """The foreground, or the background, of tokens ``start <= t < stop``."""

    partition: Partition
    foreground: bool
    store: TokenStore

    @property
    def keys(self) -> int:
        first, last = self._span()
        return last - first

    def positions(self) -> Tensor:
        return self.partition.tokens_of(self.foreground, self.start, self.stop)

    def within(self, start: int, stop: int) -> Segment | None:
        part = super().within(start, stop)
        return part if part is not None and part.keys else None

    def decode(self, k_out: Tensor, v_out: Tensor) -> None:
        self.store.read(*self._span(), k_out, v_out)

    def _span(self) -> tuple[int, int]:
        """First and last place in the store."""
        rank = self.partition.rank
        return rank(self.start, self.foreground), rank(self.stop, self.foreground)
