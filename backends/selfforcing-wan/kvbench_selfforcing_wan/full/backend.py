"""The full-size generators as the harness sees them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import evolve

from kvbench_core.backend import AUTO, SYNTHETIC, Finding, Generator, WeightFile
from kvbench_core.errors import BackendError
from kvbench_selfforcing_wan.backend import WanBackend
from kvbench_selfforcing_wan.config import WanConfig
from kvbench_selfforcing_wan.full.shelf import Shelf, sizes
from kvbench_selfforcing_wan.presets import PRESETS, Preset

VAE_SCALE = 8
"""Pixels to a latent cell, in height and width."""
VAE_DECODER_BYTES = 146_591_206
"""In bf16, with its input convolution; the encoder is not needed on the device."""
VAE_BYTES_PER_PIXEL = 11_400
"""What decoding takes besides weights: measured at 640x384, 832x480 and 1280x720, within 1 %."""

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class FullBackend(WanBackend):
    """A preset of the full-size transformer."""

    default_suite = "moviegen"

    def __init__(self, name: str, preset: Preset) -> None:
        super().__init__(preset.config)
        self.name, self.preset = name, preset
        self.max_frames = preset.max_frames
        self.weights = preset.weights
        self.resolution = pixels(self.config)
        self.folder: Path | None = None
        self.beginning: Tensor | None = None

    def configured(
        self,
        *,
        weights: str = AUTO,
        resolution: tuple[int, int] | None = None,
        continue_from: Path | None = None,
    ) -> FullBackend:
        made = copy(self)
        if weights == SYNTHETIC:
            made.weights = SYNTHETIC
        elif weights != AUTO:
            made.weights, made.folder = self.preset.weights, Path(weights)
            Shelf.of(made.folder)
        if resolution is not None:
            made.config = resized(self.config, resolution)
            made.resolution = resolution
        if continue_from is not None:
            from kvbench_selfforcing_wan.full.beginning import read_beginning

            made.beginning = read_beginning(continue_from, made.config, pixels(made.config))
        return made

    def check_frames(self, frames: int) -> None:
        super().check_frames(frames)
        given = 0 if self.beginning is None else (len(self.beginning) + 3) // 4
        if frames <= given:
            raise BackendError(
                f"the beginning alone has {given} latent frames; ask for more than that, "
                f"--frames {given + self.config.chunk_frames} or longer, not {frames}"
            )

    def video_frames(self, frames: int) -> int:
        return 4 * frames - 3

    def resident_bytes(self, frames: int) -> Mapping[str, int]:
        return {**super().resident_bytes(frames), "VAE decoder weights": VAE_DECODER_BYTES}

    def decoding_bytes(self) -> int:
        width, height = pixels(self.config)
        weights = self.resident_bytes(0)["transformer weights"] + VAE_DECODER_BYTES
        return weights + width * height * VAE_BYTES_PER_PIXEL

    def load(self, device: torch.device) -> Generator:
        from kvbench_selfforcing_wan.full.generator import synthetic
        from kvbench_selfforcing_wan.full.load import load

        if self.weights == SYNTHETIC:
            return synthetic(self.config, device, beginning=self.beginning)
        shelf = Shelf.of(self.folder)
        return load(self.name, self.preset, self.config, shelf, device, self.beginning)

    def require_weights(self) -> None:
        if self.weights != SYNTHETIC:
            Shelf.of(self.folder).require(self.name, self.preset.files)

    def weight_files(self) -> Sequence[WeightFile]:
        shelf = Shelf.of(self.folder)
        return [
            WeightFile(name=file.path, source=file.repo, bytes=file.bytes, path=shelf.find(file))
            for file in self.preset.files
        ]

    def fetch_weights(self, folder: Path | None, say: Callable[[str], None]) -> None:
        from kvbench_selfforcing_wan.full.fetch import fetch

        say(f"{self.preset.checkpoint.repo}: weights under {self.preset.licence}")
        files = self.preset.files if folder else Shelf.of(self.folder).missing(self.preset.files)
        fetch(files, folder, say)

    def diagnose(self) -> Sequence[Finding]:
        from kvbench_selfforcing_wan.full.extra import EXTRA, missing_libraries

        try:
            shelf = Shelf.of(self.folder)
        except BackendError as error:
            return (Finding("weights", False, str(error)),)
        lacking, where = shelf.missing(self.preset.files), shelf.places()
        remedy = f"looked in {where}; `kvbench weights fetch {self.name}`"
        detail = f"{sizes(lacking)} missing, {remedy}" if lacking else f"all found in {where}"
        findings = [Finding("weights", not lacking, detail)]
        if libraries := missing_libraries():
            detail = f"{', '.join(libraries)} missing; pip install '{EXTRA}'"
            findings.append(Finding("libraries", False, detail))
        return findings


def pixels(config: WanConfig) -> tuple[int, int]:
    """Width and height of the video."""
    rows, columns = config.latent_size
    return VAE_SCALE * columns, VAE_SCALE * rows


def resized(config: WanConfig, resolution: tuple[int, int]) -> WanConfig:
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


def full(name: str) -> FullBackend:
    """A preset by name."""
    return FullBackend(name, PRESETS[name])


wan_1_3b = partial(full, "wan-1.3b")
self_forcing_sid = partial(full, "self-forcing-sid")
self_forcing_sid_v2 = partial(full, "self-forcing-sid-v2")
self_forcing_gan = partial(full, "self-forcing-gan")
causvid = partial(full, "causvid")
causvid_4step = partial(full, "causvid-4step")
longlive = partial(full, "longlive")
causal_forcing = partial(full, "causal-forcing")
causal_forcing_framewise = partial(full, "causal-forcing-framewise")
causal_forcing_2step = partial(full, "causal-forcing-2step")
causal_forcing_1step = partial(full, "causal-forcing-1step")
