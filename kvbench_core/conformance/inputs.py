"""Queries, keys and values that the policy clauses feed to a cache."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Self

import torch
from attrs import evolve, field, frozen
from torch import Tensor

from kvbench_core.geometry import CacheGeometry, Step

PLAIN = CacheGeometry(layers=2, heads=2, head_dim=32, grid=(3, 8))
"""24 tokens per frame, 72 per chunk: groups of 16 tokens straddle frames and chunks."""

WIDE = CacheGeometry(layers=3, heads=3, head_dim=64, grid=(5, 8), chunk_frames=1, batch=2)
"""40 tokens per chunk, two videos at once."""

WINDOWS = (
    evolve(PLAIN, layers=1, window_frames=6),
    evolve(PLAIN, layers=1, window_frames=7, sink_frames=2),
    evolve(PLAIN, layers=1, window_frames=6, sink_frames=3),
    evolve(PLAIN, layers=1, window_frames=3),
    evolve(WIDE, layers=1, window_frames=4, sink_frames=1),
)
"""Windows with and without a sink, down to one that shows a chunk nothing but itself."""

CHUNKS = 5


def gaussian(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """The standard normal distribution."""
    return torch.randn(shape, generator=generator)


def spread(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Gaussian, channel by channel at scales from 1/16 to 16."""
    return torch.randn(shape, generator=generator) * torch.logspace(-4, 4, shape[-1], base=2.0)


def channel_offset(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Each channel far from zero on one side: a zero point that is clamped loses it."""
    return torch.linspace(-40, 40, shape[-1]) + 0.5 * torch.randn(shape, generator=generator)


def one_sided(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """All values between 10 and 11."""
    return 10 + torch.rand(shape, generator=generator)


def outlier_channel(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """One channel 200 times as large as the others."""
    x = torch.randn(shape, generator=generator)
    x[..., 3] *= 200
    return x


def constant(shape: tuple[int, ...], _: torch.Generator) -> Tensor:
    """The same value everywhere: no range to divide into levels."""
    return torch.full(shape, 3.0)


def zero(shape: tuple[int, ...], _: torch.Generator) -> Tensor:
    """Nothing: a scale of zero must not divide."""
    return torch.zeros(shape)


def tiny(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Just above the smallest normal bf16, 1.2e-38."""
    return 1e-36 * torch.randn(shape, generator=generator)


def huge(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Up to the largest bf16, 3.39e38."""
    return 3.3e38 * (2 * torch.rand(shape, generator=generator) - 1)


Shape = Callable[[tuple[int, ...], torch.Generator], Tensor]
DISTRIBUTIONS: tuple[Shape, ...] = (
    gaussian,
    channel_offset,
    one_sided,
    outlier_channel,
    constant,
    zero,
    tiny,
    huge,
)


def steps(geometry: CacheGeometry, chunk: int, passes: int) -> Iterator[Step]:
    """The passes over one chunk, at least two: noisy ones and the clean one."""
    for index in range(passes):
        yield Step(
            geometry=geometry,
            chunk=chunk,
            denoise_index=index,
            is_context=index == passes - 1,
            start_frame=chunk * geometry.chunk_frames,
            frames=geometry.chunk_frames,
            timestep=1000.0 * (1 - index / (passes - 1)),
        )


@frozen(kw_only=True, eq=False)
class Inputs:
    """A whole rollout's tensors: per layer ``[batch, token, head, dim]`` in bf16.

    ``noise`` is added to K and V on noisy passes. All follows from the seed, and the global
    random generators are left alone.
    """

    geometry: CacheGeometry
    q: tuple[Tensor, ...]
    k: tuple[Tensor, ...]
    v: tuple[Tensor, ...]
    noise: Tensor
    passes: int = 3
    chunks: int = field()

    @classmethod
    def make(
        cls,
        geometry: CacheGeometry = PLAIN,
        *,
        seed: int = 0,
        chunks: int = CHUNKS,
        distribution: Shape = gaussian,
    ) -> Self:
        generator = torch.Generator().manual_seed(seed)
        tokens = chunks * geometry.tokens_per_chunk
        shape = (geometry.batch, tokens, geometry.heads, geometry.head_dim)

        def layers(draw: Shape) -> tuple[Tensor, ...]:
            return tuple(draw(shape, generator).bfloat16() for _ in range(geometry.layers))

        return cls(
            geometry=geometry,
            q=layers(gaussian),
            k=layers(distribution),
            v=layers(distribution),
            noise=4 * gaussian(shape, generator).bfloat16(),
            chunks=chunks,
        )

    @classmethod
    def telling(
        cls, geometry: CacheGeometry = PLAIN, *, seed: int = 0, chunks: int = CHUNKS
    ) -> Self:
        """Values that differ from chunk to chunk, so that weight in the wrong place shows."""
        inputs = cls.make(geometry, seed=seed, chunks=chunks)
        which = torch.arange(inputs.tokens) // geometry.tokens_per_chunk
        sign = 1 - 2 * (which % 2)
        offset = (sign * (1 + which)).bfloat16()[None, :, None, None]
        return evolve(inputs, v=tuple(v + offset for v in inputs.v))

    @property
    def tokens(self) -> int:
        return self.chunks * self.geometry.tokens_per_chunk

    def with_layer(self, layer: int, other: Inputs) -> Inputs:
        """This rollout with one layer's keys and values taken from another."""

        def swap(own: tuple[Tensor, ...], new: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            return (*own[:layer], new[layer], *own[layer + 1 :])

        return evolve(self, k=swap(self.k, other.k), v=swap(self.v, other.v))

    def steps(self, chunk: int) -> Iterator[Step]:
        """The passes over one chunk."""
        return steps(self.geometry, chunk, self.passes)

    def at(self, layer: int, step: Step) -> tuple[Tensor, Tensor, Tensor]:
        """What a generator would send on one pass, in memory of its own."""
        span = slice(step.start, step.stop)
        q, k, v = (x[layer][:, span].clone() for x in (self.q, self.k, self.v))
        if not step.is_context:
            noise = self.noise[:, span] * (1 + step.denoise_index)
            k, v = k + noise, v - noise
        return q, k, v
