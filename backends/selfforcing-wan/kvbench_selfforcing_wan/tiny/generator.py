"""The small trained model, loaded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from kvbench_core.backend import Generator, OnChunk
from kvbench_core.errors import BackendError
from kvbench_core.session import CacheSession
from kvbench_selfforcing_wan.config import TINY
from kvbench_selfforcing_wan.noise import NoiseStreams
from kvbench_selfforcing_wan.rollout import Rollout
from kvbench_selfforcing_wan.tiny import pixels
from kvbench_selfforcing_wan.tiny.grammar import parse
from kvbench_selfforcing_wan.tiny.tokens import tokenise
from kvbench_selfforcing_wan.transformer import CausalWanTransformer

CHECKPOINT = Path(__file__).with_name("checkpoint.safetensors")
TEXT_TABLE = "text_table.weight"


class TinyGenerator(Generator):
    """Draws a prompt's scene; the cache is bf16, everything else float32 on a CPU.

    Raises:
        BackendError: the checkpoint is missing or damaged.
    """

    cache_dtype = torch.bfloat16

    def __init__(self, device: torch.device) -> None:
        self.device = device
        weights = _load()
        self._text_table = weights.pop(TEXT_TABLE).float().to(device)
        with torch.device("meta"):
            self._model = CausalWanTransformer(TINY)
        self._model.load_state_dict(
            {name.removeprefix("transformer."): w.float() for name, w in weights.items()},
            assign=True,
        )
        dtype = torch.float32 if device.type == "cpu" else torch.bfloat16
        self._model.to(device, dtype).eval().requires_grad_(False)

    def generate(
        self, prompt: str, seed: int, frames: int, session: CacheSession, on_chunk: OnChunk
    ) -> Tensor:
        words = self._text_table[list(tokenise(parse(prompt)))]
        rollout = Rollout(
            model=self._model,
            text=self._model.text_context(words[None]),
            noise=NoiseStreams(seed=seed, shape=TINY.latent_shape),
            frames=frames,
        )
        return rollout.run(session, lambda latents: on_chunk(latents[0]))[0]

    def decode(self, latents: Tensor) -> Iterator[Tensor]:
        for chunk in latents.split(TINY.chunk_frames):
            yield pixels.to_uint8(pixels.decode(chunk)).cpu()


def _load() -> dict[str, Tensor]:
    try:
        return load_file(CHECKPOINT)
    except (OSError, SafetensorError) as error:
        raise BackendError(
            f"the built-in checkpoint {CHECKPOINT} cannot be read ({error}); "
            "reinstall kvbench-selfforcing-wan"
        ) from error
