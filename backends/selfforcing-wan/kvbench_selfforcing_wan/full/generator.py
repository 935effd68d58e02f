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

    ``open_vae`` is called when the first video is decoded.
    """

    cache_dtype = torch.bfloat16

    def __init__(
        self,
        transformer: CausalWanTransformer,
        text: TextFeatures,
        open_vae: Callable[[], WanVAE],
    ) -> None:
        self.device = transformer.device
        self.rotation = TemporalRotation(transformer.config.head_dim)
        self._transformer, self._text, self._open_vae = transformer, text, open_vae

    def prepare(self, prompts: Sequence[str]) -> None:
        self._text.prepare(prompts)

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
        )
        return rollout.run(session, lambda latents: on_chunk(latents[0]))[0]

    def decoder(self) -> Decoder:
        return self._vae.decoder()

    @cached_property
    def _vae(self) -> WanVAE:
        return self._open_vae()


def synthetic(
    config: WanConfig, device: torch.device, dtype: torch.dtype = torch.bfloat16
) -> WanGenerator:
    """Random weights, text features and VAE at the size of ``config``."""
    transformer = on_meta(lambda: CausalWanTransformer(config))
    fill(transformer, device, dtype)
    return WanGenerator(transformer, SyntheticText(config), lambda: _synthetic_vae(device, dtype))


def _synthetic_vae(device: torch.device, dtype: torch.dtype) -> WanVAE:
    model = new_vae()
    model.encoder = None  # only decoding is needed
    fill(model, device, dtype, seed=1)
    return WanVAE(model)
