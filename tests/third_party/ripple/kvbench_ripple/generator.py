"""The rollout: chunk by chunk, a few noisy passes and a clean one over each."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor

from kvbench_core.backend import Decoder, Generator, OnChunk
from kvbench_core.geometry import Step
from kvbench_core.session import CacheSession
from kvbench_ripple.network import CHANNELS, GEOMETRY, WIDTH, Network

NOISE_LEVELS = (1.0, 0.7, 0.4)


class RippleGenerator(Generator):
    """The loaded network on one device."""

    cache_dtype = torch.bfloat16

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._network = Network(device)

    def generate(
        self, prompt: str, seed: int, frames: int, session: CacheSession, on_chunk: OnChunk
    ) -> Tensor:
        """Latents ``[frame, channel, height, width]``; noise is drawn on the CPU, from ``seed``."""
        random, text = torch.Generator().manual_seed(seed), self._text(prompt)
        finished = []
        for chunk in range(frames // GEOMETRY.chunk_frames):
            clean = torch.zeros(GEOMETRY.tokens_per_chunk, CHANNELS, device=self.device)
            for index, level in enumerate(NOISE_LEVELS):
                noise = torch.randn(clean.shape, generator=random).to(self.device)
                noisy = (1 - level) * clean + level * noise
                clean = self._pass(noisy, clean, text, session, _step(chunk, index))
            self._pass(clean, clean, text, session, _step(chunk, len(NOISE_LEVELS)))
            latents = clean.reshape(GEOMETRY.chunk_frames, *GEOMETRY.grid, CHANNELS)
            finished.append(latents.permute(0, 3, 1, 2))
            on_chunk(finished[-1])
        return torch.cat(finished)

    def _pass(
        self, x: Tensor, before: Tensor, text: Tensor, session: CacheSession, step: Step
    ) -> Tensor:
        """One forward pass, or what the last one found if the method says so."""
        embedded = self._network.embedded(x)
        if not step.is_context and session.skip(step, embedded[None]):
            return before
        session.begin_pass(step)
        return self._network.clean(embedded, text, session.attend)

    def _text(self, prompt: str) -> Tensor:
        """Features of a text without an encoder: seeded by its hash, the same in any process."""
        seed = int.from_bytes(hashlib.sha256(prompt.encode()).digest()[:4])
        return torch.randn(WIDTH, generator=torch.Generator().manual_seed(seed)).to(self.device)

    def decoder(self) -> Decoder:
        """Latent cells as squares of 8 x 8 pixels; there is no state between frames."""

        def pictures(latents: Tensor) -> Tensor:
            pixels = (latents[:, :3] * 127.5 + 127.5).to(torch.uint8).permute(0, 2, 3, 1)
            return pixels.repeat_interleave(8, 1).repeat_interleave(8, 2).cpu()

        return pictures


def _step(chunk: int, index: int) -> Step:
    return Step(
        geometry=GEOMETRY,
        chunk=chunk,
        denoise_index=index,
        is_context=index == len(NOISE_LEVELS),
        start_frame=chunk * GEOMETRY.chunk_frames,
        frames=GEOMETRY.chunk_frames,
    )
