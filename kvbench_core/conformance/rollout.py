"""Driving a policy's caches the way a generator does, and looking on."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from attrs import define, field
from torch import Tensor

from kvbench_core.cache import Materialised, TensorCodec
from kvbench_core.conformance.inputs import Inputs
from kvbench_core.geometry import Step
from kvbench_core.policy import Policy
from kvbench_core.session import CacheSession


class TemporalRotation:
    """A rotary embedding over latent frames, for methods that keep keys before rotation."""

    def rotate(self, x: Tensor, frames: Tensor) -> Tensor:
        """Turn channel pairs by ``frames`` times their frequency."""
        half = x.shape[-1] // 2
        rates = 10_000.0 ** -(torch.arange(half, device=x.device) / half)
        angle = (frames.float()[:, None] * rates)[None, :, None, :]
        a, b = x[..., :half].float(), x[..., half : 2 * half].float()
        turned = (a * angle.cos() - b * angle.sin(), a * angle.sin() + b * angle.cos())
        return torch.cat([*turned, x[..., 2 * half :].float()], dim=-1).to(x.dtype)

    def unrotate(self, x: Tensor, frames: Tensor) -> Tensor:
        """Turn back."""
        return self.rotate(x, -frames)


def open_session(policy: Policy, inputs: Inputs, device: str = "cpu") -> CacheSession:
    """A session for one rollout of ``inputs``."""
    geometry = inputs.geometry
    return CacheSession(
        policy,
        geometry,
        device=device,
        planned_frames=inputs.chunks * geometry.chunk_frames,
        rotation=TemporalRotation(),
    )


def run_pass(session: CacheSession, inputs: Inputs, step: Step) -> list[Tensor]:
    """One pass through all layers; what each layer's attention returned."""
    session.begin_pass(step)
    device = session.context.device
    return [
        session.attend(layer, *(x.to(device) for x in inputs.at(layer, step)))
        for layer in range(inputs.geometry.layers)
    ]


def coded(codec: TensorCodec, x: Tensor) -> Tensor:
    """``x`` as a cache reads it back: coded, and decoded into its own dtype."""
    out = torch.empty_like(x)
    codec.decode(codec.encode(x), out)
    return out


@define
class Played:
    """What a rollout left to see.

    ``outputs[i]`` and ``contents[chunk]`` run over passes and over finished chunks, layer by
    layer; ``stored_bytes[chunk]`` is the session's figure after a chunk.
    """

    outputs: list[list[Tensor]] = field(factory=list)
    contents: list[list[Materialised]] = field(factory=list)
    stored_bytes: list[int] = field(factory=list)


def playing(session: CacheSession, inputs: Inputs, played: Played) -> Iterator[None]:
    """Play chunk after chunk, stopping between them so that two sessions can take turns."""
    for chunk in range(inputs.chunks):
        for step in inputs.steps(chunk):
            played.outputs.append(run_pass(session, inputs, step))
        # Cloned: a cache may hand out views of buffers that it goes on to overwrite.
        played.contents.append([_copy(layer.materialise(step.stop)) for layer in session.layers])
        played.stored_bytes.append(session.stored_bytes())
        yield


def play(policy: Policy, inputs: Inputs, session: CacheSession | None = None) -> Played:
    """A whole rollout."""
    played = Played()
    for _ in playing(session or open_session(policy, inputs), inputs, played):
        pass
    return played


def _copy(content: Materialised) -> Materialised:
    return Materialised(content.k.clone(), content.v.clone(), content.present.clone())


def difference(one: Played, other: Played) -> str | None:
    """The first thing in which two rollouts differ, in words."""
    for name, mine, yours in (
        ("output of pass", one.outputs, other.outputs),
        ("content after chunk", _flat(one.contents), _flat(other.contents)),
    ):
        for index, (here, there) in enumerate(zip(mine, yours, strict=True)):
            for layer, (a, b) in enumerate(zip(here, there, strict=True)):
                if not same(a, b):
                    return f"the {name} {index} differs in layer {layer}"
    if one.stored_bytes != other.stored_bytes:
        return f"stored bytes after each chunk are {one.stored_bytes} and {other.stored_bytes}"
    return None


def _flat(contents: list[list[Materialised]]) -> list[list[Tensor]]:
    """K, V and presence of each layer behind one another, so that they compare as outputs do."""
    return [
        [torch.cat([c.k.float(), c.v.float(), _as_keys(c)], dim=-1) for c in layers]
        for layers in contents
    ]


def _as_keys(content: Materialised) -> Tensor:
    return content.present[None, :, :, None].expand(len(content.k), -1, -1, 1).float()


def same(a: Tensor, b: Tensor) -> bool:
    """Bit by bit, except that NaN equals NaN."""
    return a.shape == b.shape and bool(((a == b) | (a.isnan() & b.isnan())).all())


@contextmanager
def global_seed(seed: int) -> Iterator[Callable[[], bool]]:
    """Seed the global generators of Python, numpy and torch, and put them back afterwards.

    Yields a function that says whether they have been left as they were seeded.
    """
    before = _global_states()
    random.seed(seed)
    np.random.seed(seed)
    torch.default_generator.manual_seed(seed)
    seeded = _global_states()
    try:
        yield lambda: _equal_states(_global_states(), seeded)
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])
        torch.set_rng_state(before[2])


States = tuple[tuple[object, ...], dict[str, object], Tensor]


def _global_states() -> States:
    return random.getstate(), np.random.get_state(legacy=False), torch.get_rng_state()


def _equal_states(now: States, then: States) -> bool:
    numpy_now, numpy_then = repr(now[1]), repr(then[1])
    return now[0] == then[0] and numpy_now == numpy_then and torch.equal(now[2], then[2])
