"""A full-size generator, loaded: text features, rollout, VAE."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

import torch
from torch import Tensor

from kvbench_core.backend import Decoder, Generator, OnChunk
from kvbench_core.session import CacheSession
from kvbench_selfforcing_wan.config import WanConfig
from kvbench_selfforcing_wan.full.checkpoint import on_meta
from kvbench_selfforcing_wan.full.synthetic import fill
from kvbench_selfforcing_wan.full.text import SyntheticText, TextFeatures
from kvbench_selfforcing_wan.full.vae import WanVAE, new_vae
from kvbench_selfforcing_wan.noise import NoiseStreams
from kvbench_selfforcing_wan.rollout import Rollout
from kvbench_selfforcing_wan.rope import TemporalRotation
from kvbench_selfforcing_wan.transformer import CausalWanTransformer


class WanGenerator(Generator):
    """Transformer and VAE on one device; the text encoder is never there while generating.

    ``open_vae`` is called when it is first needed. ``beginning`` are frames, uint8
    ``[frame, height, width, 3]``, that every video begins with.
    """

    cache_dtype = torch.bfloat16

    def __init__(
        self,
        transformer: CausalWanTransformer,
        text: TextFeatures,
        open_vae: Callable[[], WanVAE],
        beginning: Tensor | None = None,
    ) -> None:
        self.device = transformer.device
        self.rotation = TemporalRotation(transformer.config.head_dim)
        self._transformer, self._text = transformer, text
        self._open_vae, self._beginning = open_vae, beginning

    def prepare(self, prompts: Sequence[str]) -> None:
        self._text.prepare(prompts)
        _ = self._initial_latent

    @torch.inference_mode()
    def generate(
        self, prompt: str, seed: int, frames: int, session: CacheSession, on_chunk: OnChunk
    ) -> Tensor:
        model = self._transformer
        rollout = Rollout(
            model=model,
            text=model.text_context(self._text(prompt).to(self.device)),
            noise=NoiseStreams(seed=seed, shape=model.config.latent_shape),
            frames=frames,
            initial_latent=self._initial_latent,
        )
        return rollout.run(session, lambda latents: on_chunk(latents[0]))[0]

    def decoder(self) -> Decoder:
        return self._vae.decoder()

    @cached_property
    def _vae(self) -> WanVAE:
        vae = self._open_vae()
        if self._beginning is None:
            vae.drop_encoder()
        return vae

    @cached_property
    def _initial_latent(self) -> Tensor | None:
        return None if self._beginning is None else self._vae.encode(self._beginning)[None]


def synthetic(
    config: WanConfig,
    device: torch.device,
    dtype: torch.dtype = torch.bfloat16,
    beginning: Tensor | None = None,
) -> WanGenerator:
    """Random weights, text features and VAE at the size of ``config``."""
    transformer = on_meta(lambda: CausalWanTransformer(config))
    fill(transformer, device, dtype)

    def open_vae() -> WanVAE:
        return WanVAE(fill(new_vae(), device, dtype, seed=1))

    return WanGenerator(transformer, SyntheticText(config), open_vae, beginning)
