"""Rollouts of made-up keys and values through real cache sessions, one layer of a small Wan."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from attrs import field, frozen
from torch import Tensor

from kvbench_core.cache import Materialised
from kvbench_core.geometry import CacheGeometry, Step
from kvbench_core.policy import Policy
from kvbench_core.session import CacheSession

GEOMETRY = CacheGeometry(layers=1, heads=2, head_dim=128, grid=(8, 13), window_frames=21)
"""104 tokens per frame: as with Wan's 1560, frames end in the middle of a group of 16."""

CHUNKS = 14
LOUD_CHANNELS, LOUDNESS = 4, 20.0
OFFSET = 6.0
NEIGHBOURS = 0.9

Draw = Callable[[tuple[int, ...], torch.Generator], Tensor]


def gaussian(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Independent standard normal values."""
    return torch.randn(shape, generator=generator)


def offset(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Each channel of each head around a constant of its own, of standard deviation 6."""
    constant = OFFSET * torch.randn(shape[2:], generator=generator)
    return gaussian(shape, generator) + constant


def outliers(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Four channels of each head 20 times as large as the others."""
    x = gaussian(shape, generator)
    for head in range(shape[2]):
        x[:, :, head, torch.randperm(shape[3], generator=generator)[:LOUD_CHANNELS]] *= LOUDNESS
    return x


def correlated(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Neighbouring tokens alike (correlation 0.9), each channel around a constant of its own."""
    fresh = gaussian(shape, generator) * (1 - NEIGHBOURS**2) ** 0.5
    x = torch.empty(shape)
    x[:, 0] = gaussian((shape[0], *shape[2:]), generator)
    for token in range(1, shape[1]):
        x[:, token] = NEIGHBOURS * x[:, token - 1] + fresh[:, token]
    return x + torch.randn(shape[2:], generator=generator)


def around_half(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Independent values of mean 0.5 and deviation 1."""
    return gaussian(shape, generator) + 0.5


FAMILIES: dict[str, Draw] = {"gaussian": gaussian, "offset": offset, "outliers": outliers}


@frozen(kw_only=True, eq=False)
class Tensors:
    """One rollout's queries, keys and values, bf16 ``[batch, token, head, dim]``, and noise."""

    geometry: CacheGeometry
    chunks: int
    q: Tensor
    k: Tensor
    v: Tensor
    noise: Tensor

    @property
    def frames(self) -> int:
        """Latent frames of the rollout."""
        return self.chunks * self.geometry.chunk_frames

    def steps(self, passes: int) -> Iterator[Step]:
        """Every pass, the last one over each chunk clean."""
        frames = self.geometry.chunk_frames
        for chunk in range(self.chunks):
            for index in range(passes):
                yield Step(
                    geometry=self.geometry,
                    chunk=chunk,
                    denoise_index=index,
                    is_context=index == passes - 1,
                    start_frame=chunk * frames,
                    frames=frames,
                    denoise_steps=passes - 1 or None,
                )

    def at(self, step: Step) -> tuple[Tensor, Tensor, Tensor]:
        """What a pass sends; noisy ones send noise for the most part."""
        q, k, v = (x[:, step.start : step.stop] for x in (self.q, self.k, self.v))
        if step.is_context or step.denoise_steps is None:
            return q, k, v
        level = 1 - step.denoise_index / step.denoise_steps
        noise = self.noise[:, step.start : step.stop]
        return q, torch.lerp(k, noise, level), torch.lerp(v, noise, level)


def draw(family: Draw, *, seed: int, chunks: int = CHUNKS, values: Draw | None = None) -> Tensors:
    """Keys and values of one family, or of one each; queries are Gaussian."""
    geometry = GEOMETRY
    generator = torch.Generator().manual_seed(seed)
    tokens = chunks * geometry.tokens_per_chunk
    shape = (geometry.batch, tokens, geometry.heads, geometry.head_dim)
    q, k, v, noise = (
        each(shape, generator).bfloat16() for each in (gaussian, family, values or family, gaussian)
    )
    return Tensors(geometry=geometry, chunks=chunks, q=q, k=k, v=v, noise=noise)


@frozen(kw_only=True, eq=False)
class Played:
    """A rollout's session, at its end, and what attention gave on each clean pass."""

    session: CacheSession
    outputs: list[Tensor] = field(factory=list)

    def content(self, tokens: int) -> Materialised:
        """What is left of the first ``tokens`` tokens."""
        return self.session.layers[0].materialise(tokens)


AfterPass = Callable[[CacheSession, Step], None]


def play(
    policy: Policy, tensors: Tensors, *, passes: int = 1, after: AfterPass | None = None
) -> Played:
    """A whole rollout; ``after`` looks at the session after each pass."""
    session = CacheSession(policy, tensors.geometry, planned_frames=tensors.frames)
    played = Played(session=session)
    for step in tensors.steps(passes):
        session.begin_pass(step)
        out = session.attend(0, *tensors.at(step))
        if step.is_context:
            played.outputs.append(out)
        if after is not None:
            after(session, step)
    return played


def relative_error(decoded: Tensor, exact: Tensor) -> float:
    """``|decoded - exact| / |exact|`` in 2-norms."""
    exact = exact.float()
    return float((decoded.float() - exact).norm() / exact.norm())
