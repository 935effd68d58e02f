"""The generators as the harness sees them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from attrs import evolve

from kvbench_core.backend import AUTO, SYNTHETIC, Backend, Finding, Generator
from kvbench_core.errors import BackendError
from kvbench_core.geometry import BF16_BYTES, CacheGeometry
from kvbench_selfforcing_wan.config import TINY, WAN_1_3B, WanConfig

VAE_SCALE = 8
"""Pixels to a latent cell, in height and width."""

if TYPE_CHECKING:
    from kvbench_selfforcing_wan.tiny.generator import TinyGenerator


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
        from kvbench_selfforcing_wan.transformer import CausalWanTransformer

        with torch.device("meta"):
            model = CausalWanTransformer(self.config)
        return sum(parameter.numel() for parameter in model.parameters())


class TinyBackend(WanBackend):
    """The small trained generator that ships with the package."""

    default_suite = "tiny"

    def __init__(self) -> None:
        super().__init__(TINY)

    def video_frames(self, frames: int) -> int:
        return frames

    def load(self, device: torch.device) -> TinyGenerator:
        from kvbench_selfforcing_wan.tiny.generator import TinyGenerator

        return TinyGenerator(device)

    def diagnose(self) -> Sequence[Finding]:
        from kvbench_selfforcing_wan.tiny.model import CHECKPOINT

        size = CHECKPOINT.stat().st_size if CHECKPOINT.is_file() else 0
        detail = f"{size / 1e6:.1f} MB, in the package" if size else f"{CHECKPOINT} is missing"
        return (Finding("checkpoint", bool(size), detail),)


class FullBackend(WanBackend):
    """Self-Forcing Wan2.1-T2V-1.3B."""

    default_suite = "moviegen"

    def __init__(self, config: WanConfig = WAN_1_3B, weights: str = "self_forcing_dmd") -> None:
        super().__init__(config)
        self.weights = weights
        rows, columns = config.latent_size
        self.resolution = (VAE_SCALE * columns, VAE_SCALE * rows)

    def configured(
        self, *, weights: str = AUTO, resolution: tuple[int, int] | None = None
    ) -> FullBackend:
        config = self.config if resolution is None else _resized(self.config, resolution)
        return FullBackend(config, SYNTHETIC if weights == SYNTHETIC else self.weights)

    def video_frames(self, frames: int) -> int:
        return 4 * frames - 3

    def load(self, device: torch.device) -> Generator:
        from kvbench_selfforcing_wan.full.generator import synthetic

        if self.weights == SYNTHETIC:
            return synthetic(self.config, device)
        raise BackendError(
            "wan-1.3b cannot load its checkpoint in this version; measure memory and time with "
            "--weights synthetic"
        )

    def diagnose(self) -> Sequence[Finding]:
        return (Finding("checkpoint", False, "not loadable in this version; `budget` works"),)


def _resized(config: WanConfig, resolution: tuple[int, int]) -> WanConfig:
    """The same model for videos of another size.

    Raises:
        BackendError: tokens would not cover the picture.
    """
    width, height = resolution
    cell = (VAE_SCALE * config.patch[2], VAE_SCALE * config.patch[1])
    nearest = tuple(max(1, round(n / c)) * c for n, c in zip(resolution, cell, strict=True))
    if resolution != nearest:
        raise BackendError(
            f"cannot generate {width}x{height}: width and height are multiples of {cell[0]} and "
            f"{cell[1]} pixels; the nearest size is {nearest[0]}x{nearest[1]}"
        )
    return evolve(config, latent_size=(height // VAE_SCALE, width // VAE_SCALE))


def tiny() -> TinyBackend:
    """The built-in generator."""
    return TinyBackend()


def wan_1_3b() -> FullBackend:
    """The full-size generator."""
    return FullBackend()
