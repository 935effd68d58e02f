"""The small trained model behind the harness."""

from __future__ import annotations

import torch
from safetensors import SafetensorError
from torch import Tensor

from kvbench_core.backend import Decoder, Generator, OnChunk
from kvbench_core.errors import BackendError
from kvbench_core.session import CacheSession
from kvbench_selfforcing_wan.config import TINY
from kvbench_selfforcing_wan.rope import TemporalRotation
from kvbench_selfforcing_wan.tiny import pixels
from kvbench_selfforcing_wan.tiny.grammar import parse
from kvbench_selfforcing_wan.tiny.model import CHECKPOINT, TinyModel


class TinyGenerator(Generator):
    """Draws a prompt's scene. The cache is bf16; on a CPU everything else is float32.

    Raises:
        BackendError: the checkpoint is missing or damaged.
    """

    cache_dtype = torch.bfloat16

    def __init__(self, device: torch.device) -> None:
        self.device = device
        try:
            model = TinyModel.load(CHECKPOINT)
        except (OSError, ValueError, SafetensorError) as error:
            raise BackendError(
                f"the built-in checkpoint {CHECKPOINT} cannot be read ({error}); "
                "reinstall kvbench-selfforcing-wan"
            ) from error
        self.rotation = TemporalRotation(TINY.head_dim)
        self._model = model.to(device, torch.float32 if device.type == "cpu" else torch.bfloat16)

    def generate(
        self, prompt: str, seed: int, frames: int, session: CacheSession, on_chunk: OnChunk
    ) -> Tensor:
        rollout = self._model.rollout(parse(prompt), seed, frames)
        return rollout.run(session, lambda latents: on_chunk(latents[0]))[0]

    def decoder(self) -> Decoder:
        return lambda latents: pixels.to_uint8(pixels.decode(latents)).cpu()
