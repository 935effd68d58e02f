"""Sets of latent frames as attention reads them."""

from __future__ import annotations

from abc import abstractmethod
from typing import Self

import torch
from attrs import evolve, frozen
from torch import Tensor

from kvbench_core.cache import Segment
from kvbench_flowcache.store import FrameStore


@frozen(eq=False, kw_only=True)
class FrameSet(Segment):
    """Frames in ascending order, at least one, maybe with gaps between them.

    ``start`` and ``stop`` may cut the first and the last one.
    """

    frames: tuple[int, ...]
    tokens_per_frame: int

    @property
    def cut(self) -> tuple[int, int]:
        """Tokens of the first frame before ``start``, and of the last one from ``stop`` on."""
        start, stop = span(self.frames, self.tokens_per_frame)
        return self.start - start, stop - self.stop

    @property
    def tokens(self) -> int:
        """Tokens that the set stands for."""
        return len(self.frames) * self.tokens_per_frame - sum(self.cut)

    @property
    def keys(self) -> int:
        return self.tokens // self.multiplicity

    @abstractmethod
    def tokens_per_key(self) -> int:
        """The multiplicity of the set as it is cut."""

    def positions(self) -> Tensor:
        size = self.tokens_per_frame
        whole = torch.tensor(self.frames).unsqueeze(1) * size + torch.arange(size)
        first, last = self.cut
        return whole.flatten()[first : whole.numel() - last]

    def within(self, start: int, stop: int) -> Self | None:
        if start <= self.start and self.stop <= stop:
            return self
        size = self.tokens_per_frame
        start, stop = max(start, self.start), min(stop, self.stop)
        frames = tuple(
            frame for frame in self.frames if start < (frame + 1) * size and frame * size < stop
        )
        if not frames or start >= stop:
            return None
        first, last = span(frames, size)
        part = evolve(self, frames=frames, start=max(start, first), stop=min(stop, last))
        return evolve(part, multiplicity=part.tokens_per_key())


@frozen(eq=False, kw_only=True)
class StoredFrames(FrameSet):
    """Frames in a store.

    Of a set that is cut there is a key for every token, even where one key stands for a whole
    frame; only who looks at a cache cuts a frame, attention never does.
    """

    store: FrameStore

    @classmethod
    def all_of(cls, store: FrameStore, tokens_per_frame: int) -> Self:
        """Every frame in a store."""
        start, stop = span(store.frames, tokens_per_frame)
        return cls(
            start=start,
            stop=stop,
            multiplicity=store.tokens_per_key,
            frames=store.frames,
            tokens_per_frame=tokens_per_frame,
            store=store,
        )

    def tokens_per_key(self) -> int:
        return 1 if any(self.cut) else self.store.tokens_per_key

    def decode(self, k_out: Tensor, v_out: Tensor) -> None:
        first = self.store.frames.index(self.frames[0])
        last = first + len(self.frames)
        before, after = self.cut
        if not before + after:
            self.store.read(first, last, k_out, v_out)
            return
        shape = (k_out.shape[0], len(self.frames) * self.tokens_per_frame, *k_out.shape[2:])
        k, v = k_out.new_empty(shape), v_out.new_empty(shape)
        self.store.read(first, last, k, v)
        k_out.copy_(k[:, before : shape[1] - after])
        v_out.copy_(v[:, before : shape[1] - after])


@frozen(eq=False, kw_only=True)
class ZeroFrames(FrameSet):
    """Frames whose K and V are zero and that stay in the softmax: one key, stored as nothing."""

    @classmethod
    def all_of(cls, frames: tuple[int, ...], tokens_per_frame: int) -> Self:
        """These frames, uncut."""
        start, stop = span(frames, tokens_per_frame)
        return cls(
            start=start,
            stop=stop,
            multiplicity=len(frames) * tokens_per_frame,
            frames=frames,
            tokens_per_frame=tokens_per_frame,
        )

    def tokens_per_key(self) -> int:
        return self.tokens

    def decode(self, k_out: Tensor, v_out: Tensor) -> None:
        k_out.zero_()
        v_out.zero_()


def span(frames: tuple[int, ...], tokens_per_frame: int) -> tuple[int, int]:
    """The position of the first frame's first token, and the one after the last frame's last."""
    return frames[0] * tokens_per_frame, (frames[-1] + 1) * tokens_per_frame
