"""Training batches, rendered on the device: a pool of captions, fresh placements every time."""

from __future__ import annotations

import itertools

import torch
from attrs import frozen
from torch import Tensor

from kvbench_selfforcing_wan.tiny import pixels
from kvbench_selfforcing_wan.tiny.grammar import Scene
from kvbench_selfforcing_wan.tiny.sampling import training_scenes
from kvbench_selfforcing_wan.tiny.tokens import tokenise
from kvbench_selfforcing_wan.tiny.world import (
    LATTICE,
    Placement,
    SceneBatch,
    background,
    placed,
    render,
    simulate,
)


def clip_latents(scenes: SceneBatch, placement: Placement, frames: int) -> Tensor:
    """True latents ``[scene, frame, channel, height, width]``, float32."""
    return pixels.encode(render(scenes, simulate(scenes, placement, frames)))


@frozen(eq=False)
class Captions:
    """Captions as tensors on the device: the scenes and their token ids ``[scene, slot]``."""

    scenes: SceneBatch
    ids: Tensor

    @classmethod
    def of(cls, scenes: list[Scene], device: torch.device | str) -> Captions:
        ids = torch.tensor([tokenise(scene) for scene in scenes])
        return cls(SceneBatch.of(scenes).to(device), ids.to(device))

    @classmethod
    def training_pool(cls, size: int, seed: int, device: torch.device | str) -> Captions:
        return cls.of(list(itertools.islice(training_scenes(seed), size)), device)

    def draw(self, count: int) -> Captions:
        index = torch.randint(len(self.scenes), (count,), device=self.ids.device)
        return Captions(self.scenes[index], self.ids[index])

    @classmethod
    def joined(cls, parts: list[Captions]) -> Captions:
        return cls(SceneBatch.joined([p.scenes for p in parts]), torch.cat([p.ids for p in parts]))

    def repeat(self, times: int) -> Captions:
        """Every caption ``times`` times in a row."""
        index = torch.arange(len(self.scenes), device=self.ids.device).repeat_interleave(times)
        return Captions(self.scenes[index], self.ids[index])


def recover_placement(scenes: SceneBatch, latents: Tensor) -> Placement:
    """Where a first chunk ``[scene, frame, channel, height, width]`` has put its scene.

    The background's offset is the peak of a circular correlation with its texture. So a rollout
    that invented its own beginning can be continued by the exact world.
    """
    frame = pixels.decode(latents[:, 0])
    zero = torch.zeros(len(scenes), 2, dtype=torch.long, device=frame.device)
    score = _correlation(frame, background(scenes, zero[:, None])[:, 0])
    return placed(scenes, LATTICE * _peak(score[:, ::LATTICE, ::LATTICE]))


def _correlation(image: Tensor, template: Tensor) -> Tensor:
    """Circular correlation summed over the last axis, ``[scene, row, column]``."""
    a = torch.fft.rfft2(image - image.mean((1, 2), keepdim=True), dim=(1, 2))
    b = torch.fft.rfft2(template - template.mean((1, 2), keepdim=True), dim=(1, 2))
    return torch.fft.irfft2((a * b.conj()).sum(-1), s=image.shape[1:3], dim=(1, 2))


def _peak(score: Tensor) -> Tensor:
    """Place of the maximum, ``[scene, 2]``, x before y."""
    flat = score.flatten(1).argmax(1)
    return torch.stack((flat % score.shape[2], flat // score.shape[2]), dim=1)
