"""Sessions and policies through which the backend clauses look at a generator."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from attrs import define, field, frozen
from torch import Tensor

from kvbench_core.backend import Generator
from kvbench_core.cache import CacheContext, LayerCache, Segment, SegmentedCache
from kvbench_core.geometry import CacheGeometry, Step
from kvbench_core.policy import Composition, Policy, Promise
from kvbench_core.session import CacheSession


class _ForgetfulCache(SegmentedCache):
    def write(self, k: Tensor, v: Tensor, step: Step) -> None:
        """Keep nothing."""

    def segments(self) -> Iterable[Segment]:
        return ()


@frozen
class Forgetful(Policy):
    """Keeps no history: as lossy as a policy can be, and exact in the first chunk."""

    def layer_cache(self, layer: int, context: CacheContext) -> LayerCache:
        return _ForgetfulCache(layer, context)

    def promise(self) -> Promise:
        return Promise(keeps_all=False)


@define
class Seen:
    """What a generator did with a session."""

    steps: list[Step] = field(factory=list)
    layers: list[list[int]] = field(factory=list)
    asked: list[Step] = field(factory=list)
    features: list[tuple[Tensor, Tensor]] = field(factory=list)
    """What ``skip`` was shown, and a copy of it made then."""
    finite: bool = True


class WatchedSession(CacheSession):
    """Notes every call, and answers ``skip`` for denoising pass 2 with yes if told to."""

    def __init__(
        self, generator: Generator, geometry: CacheGeometry, policy: Policy, skipping: bool = False
    ) -> None:
        super().__init__(
            policy,
            geometry,
            device=generator.device,
            dtype=generator.cache_dtype,
            rotation=generator.rotation,
        )
        self.seen = Seen()
        self.skipping = skipping

    def begin_pass(self, step: Step) -> None:
        self.seen.steps.append(step)
        self.seen.layers.append([])
        super().begin_pass(step)

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        self.seen.layers[-1].append(layer)
        self.seen.finite &= all(bool(torch.isfinite(x).all()) for x in (q, k, v))
        return super().attend(layer, q, k, v)

    def skip(self, step: Step, feature: Tensor) -> bool:
        self.seen.asked.append(step)
        self.seen.features.append((feature, feature.clone()))
        return self.skipping and step.denoise_index == 2


@define
class Generated:
    """One generation and what was seen of it."""

    latents: Tensor
    pieces: list[Tensor]
    seen: Seen
    stored_bytes: int


def generate(
    generator: Generator,
    geometry: CacheGeometry,
    frames: int,
    *,
    prompt: str = "a red ball rolls right",
    seed: int = 0,
    policy: Policy | None = None,
    skipping: bool = False,
) -> Generated:
    """Generate under observation, with a BF16 cache unless told otherwise."""
    session = WatchedSession(generator, geometry, policy or Composition(), skipping)
    pieces: list[Tensor] = []
    latents = generator.generate(
        prompt, seed, frames, session, lambda chunk: pieces.append(chunk.clone())
    )
    return Generated(latents, pieces, session.seen, session.stored_bytes())
