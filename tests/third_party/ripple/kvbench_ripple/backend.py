"""What is known of the generator before its weights are loaded, and its prompts."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from kvbench_core.backend import Backend, Generator
from kvbench_core.geometry import CacheGeometry
from kvbench_core.suite import Prompt, Suite
from kvbench_ripple.network import CHANNELS, GEOMETRY, WEIGHTS


class Ripple(Backend):
    """One video frame of 64 x 64 pixels for each latent frame."""

    default_frames = 12
    fps = 8.0
    default_suite = "ripple"
    max_frames = 240

    def geometry(self) -> CacheGeometry:
        return GEOMETRY

    def video_frames(self, frames: int) -> int:
        return frames

    def resident_bytes(self, frames: int) -> Mapping[str, int]:
        latents = frames * GEOMETRY.tokens_per_frame * CHANNELS
        return {"weights": 4 * WEIGHTS, "latents": 4 * latents}

    def load(self, device: torch.device) -> Generator:
        from kvbench_ripple.generator import RippleGenerator

        return RippleGenerator(device)


def prompts() -> Suite:
    """The suite."""
    texts = ("a stone falls into a pond", "rain on a lake", "a boat leaves")
    found = (Prompt(id=str(index), index=index, text=text) for index, text in enumerate(texts))
    return Suite(name="ripple", prompts=tuple(found))
