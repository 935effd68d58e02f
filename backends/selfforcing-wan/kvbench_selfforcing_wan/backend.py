"""What the generators of all sizes have in common before their weights are loaded."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

from attrs import evolve

from kvbench_core.backend import Backend
from kvbench_core.geometry import BF16_BYTES, CacheGeometry
from kvbench_selfforcing_wan.config import WanConfig


class WanBackend(Backend):
    """A causal Wan2.1 generator of any size, before its weights are loaded."""

    max_frames = 1024
    """Entries of the rotary table per axis (Wan2.1)."""

    def __init__(self, config: WanConfig) -> None:
        self.config = config
        self.default_frames = config.default_frames
        self.fps = config.fps

    def geometry(self) -> CacheGeometry:
        return self.config.geometry()

    def resident_bytes(self, frames: int) -> Mapping[str, int]:
        config = self.config
        text = 2 * config.layers * config.text_length * config.width
        latents = frames * config.latent_channels * config.latent_size[0] * config.latent_size[1]
        tokens = config.chunk_frames * config.tokens_per_frame
        return {
            "transformer weights": BF16_BYTES * self._parameters,
            "cross-attention K and V": BF16_BYTES * text,
            "latents": BF16_BYTES * latents,
            "residual stream and FFN hidden state": (
                BF16_BYTES * tokens * (config.width + config.ffn_width)
            ),
        }

    @cached_property
    def _parameters(self) -> int:
        import torch

        from kvbench_selfforcing_wan.transformer import CausalWanTransformer

        with torch.device("meta"):  # layers are alike, and 30 take a while
            model = CausalWanTransformer(evolve(self.config, layers=1))
        one, layer = (sum(p.numel() for p in m.parameters()) for m in (model, model.blocks))
        return one + (self.config.layers - 1) * layer
