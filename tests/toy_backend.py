"""A real, very small causal generator: two layers of self-attention over every earlier chunk."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping

import torch
from torch import Tensor

from kvbench_core.backend import Backend, Decoder, Generator, OnChunk
from kvbench_core.geometry import CacheGeometry, Step
from kvbench_core.session import CacheSession
from kvbench_core.suite import Prompt, Suite

GEOMETRY = CacheGeometry(layers=2, heads=2, head_dim=16, grid=(4, 4), chunk_frames=2)
WIDTH = 32
CHANNELS = 4
NOISE_LEVELS = (1.0, 0.5)


class Toy(Backend):
    default_frames = 8
    fps = 8.0
    default_suite = "toy-suite"
    max_frames = 64

    def __init__(self, nap_s: float = 0.0, dtype: torch.dtype = torch.bfloat16) -> None:
        self.nap_s = nap_s
        self.dtype = dtype

    def geometry(self) -> CacheGeometry:
        return GEOMETRY

    def video_frames(self, frames: int) -> int:
        return frames

    def resident_bytes(self, frames: int) -> Mapping[str, int]:
        return {}

    def load(self, device: torch.device) -> ToyGenerator:
        return ToyGenerator(device, self.nap_s, self.dtype)


def slow() -> Toy:
    return Toy(nap_s=0.1)


def wide() -> Toy:
    return Toy(dtype=torch.float32)


class ToyGenerator(Generator):
    def __init__(self, device: torch.device, nap_s: float, dtype: torch.dtype) -> None:
        self.device, self.cache_dtype, self.nap_s = device, dtype, nap_s
        random = torch.Generator().manual_seed(0)

        def weight(rows: int, columns: int) -> Tensor:
            return torch.randn(rows, columns, generator=random) / rows**0.5

        self.embed, self.head = weight(CHANNELS, WIDTH), weight(WIDTH, CHANNELS)
        self.pixels = weight(CHANNELS, 3 * 16)
        self.layers = [[weight(WIDTH, WIDTH) for _ in range(4)] for _ in range(GEOMETRY.layers)]

    def generate(
        self, prompt: str, seed: int, frames: int, session: CacheSession, on_chunk: OnChunk
    ) -> Tensor:
        random = torch.Generator().manual_seed(seed)
        words = int.from_bytes(hashlib.sha256(prompt.encode()).digest()[:4])
        bias = torch.randn(WIDTH, generator=torch.Generator().manual_seed(words))
        chunks = []
        for chunk in range(frames // GEOMETRY.chunk_frames):
            x = torch.randn(GEOMETRY.tokens_per_chunk, CHANNELS, generator=random)
            for index, level in enumerate(NOISE_LEVELS):
                clean = self._denoise(x, bias, session, self._step(chunk, index, False))
                x = clean + 0.5 * level * torch.randn(x.shape, generator=random)
            self._denoise(clean, bias, session, self._step(chunk, len(NOISE_LEVELS), True))
            time.sleep(self.nap_s)
            latents = clean.reshape(GEOMETRY.chunk_frames, 4, 4, CHANNELS).permute(0, 3, 1, 2)
            chunks.append(latents)
            on_chunk(latents)
        return torch.cat(chunks)

    def _step(self, chunk: int, index: int, is_context: bool) -> Step:
        return Step(
            geometry=GEOMETRY,
            chunk=chunk,
            denoise_index=index,
            is_context=is_context,
            start_frame=chunk * GEOMETRY.chunk_frames,
            frames=GEOMETRY.chunk_frames,
        )

    def _denoise(self, x: Tensor, bias: Tensor, session: CacheSession, step: Step) -> Tensor:
        session.begin_pass(step)
        hidden = x @ self.embed + bias
        for layer, (q, k, v, out) in enumerate(self.layers):
            shape = (1, -1, GEOMETRY.heads, GEOMETRY.head_dim)
            normal = torch.nn.functional.layer_norm(hidden, (WIDTH,))
            qkv = ((normal @ w).reshape(shape).to(self.cache_dtype) for w in (q, k, v))
            read = session.attend(layer, *qkv)
            hidden = hidden + read.float().reshape(-1, WIDTH) @ out
        return torch.tanh(hidden @ self.head)

    def decoder(self) -> Decoder:
        return self._pictures

    def _pictures(self, latents: Tensor) -> Tensor:
        """4 x 4 patches of 4 x 4 pixels."""
        patches = latents.permute(0, 2, 3, 1).reshape(-1, 16, CHANNELS) @ self.pixels
        images = patches.reshape(-1, 4, 4, 4, 4, 3).permute(0, 1, 3, 2, 4, 5)
        return (images.reshape(-1, 16, 16, 3) * 64 + 128).clamp(0, 255).to(torch.uint8)


def suite() -> Suite:
    texts = ("a red ball rolls", "a blue cube turns", "a green star falls")
    prompts = tuple(Prompt(id=t.split()[2], index=i, text=t) for i, t in enumerate(texts))
    return Suite(name="toy-suite", prompts=prompts)
