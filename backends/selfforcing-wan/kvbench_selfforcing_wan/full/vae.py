"""The Wan VAE (diffusers' ``AutoencoderKLWan``), frame by frame.

Its state lies in a feature cache alone: each causal convolution keeps its last two inputs. So a
video decodes piece by piece exactly as it does at once, in the memory of one latent frame.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from kvbench_core.backend import Decoder
from kvbench_selfforcing_wan.full.checkpoint import on_meta
from kvbench_selfforcing_wan.full.extra import require

VAE_CONFIG = {"base_dim": 96, "z_dim": 16}
"""``AutoencoderKLWan`` of Wan2.1; the rest are the library's defaults."""


def new_vae() -> Any:
    """An ``AutoencoderKLWan`` on the meta device."""
    kind = require("diffusers").AutoencoderKLWan
    return on_meta(lambda: kind(**VAE_CONFIG))


class WanVAE:
    """Latents as the transformer sees them, normalised per channel, and frames as uint8.

    ``model`` is an ``AutoencoderKLWan``; the library's classes are not typed.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        place = {"device": model.device, "dtype": model.dtype}
        # The original divides by a rounded reciprocal.
        deviation = torch.tensor(model.config.latents_std)
        self._mean = torch.tensor(model.config.latents_mean, **place)[:, None, None]
        self._scale = (1 / deviation).to(**place)[:, None, None]

    def decoder(self) -> Decoder:
        """A decoder at the beginning of a video: the first latent frame is one frame, others 4."""
        return _StreamingDecoder(self._model, self._mean, self._scale)

    @torch.inference_mode()
    def encode(self, frames: Tensor) -> Tensor:
        """``4 n - 3`` frames, uint8 ``[frame, height, width, 3]``, to ``n`` latent frames.

        ``[frame, channel, height, width]``, the mean of the posterior.
        """
        video = frames.permute(3, 0, 1, 2).to(self._mean.device) / 127.5 - 1
        mean = self._model.encode(video[None].to(self._mean)).latent_dist.mode()[0]
        return (mean.transpose(0, 1) - self._mean) * self._scale

    def drop_encoder(self) -> None:
        """Free the half that only :meth:`encode` needs."""
        self._model.encoder = None


class _StreamingDecoder:
    def __init__(self, model: Any, mean: Tensor, scale: Tensor) -> None:
        self._model, self._mean, self._scale = model, mean, scale
        convolution = require("diffusers.models.autoencoders.autoencoder_kl_wan").WanCausalConv3d
        count = sum(isinstance(module, convolution) for module in model.decoder.modules())
        self._features: list[Any] = [None] * count
        self._first = True

    @torch.inference_mode()
    def __call__(self, latents: Tensor) -> Tensor:
        z = latents.to(self._mean) / self._scale + self._mean
        return torch.cat([self._frames(frame) for frame in z.split(1)])

    def _frames(self, z: Tensor) -> Tensor:
        """One latent frame ``[1, channel, height, width]``, denormalised."""
        x = self._model.post_quant_conv(z.unsqueeze(2))
        out = self._model.decoder(
            x, feat_cache=self._features, feat_idx=[0], first_chunk=self._first
        )
        self._first = False
        return to_uint8(out[0])


def to_uint8(video: Tensor) -> Tensor:
    """``[3, frame, height, width]`` in -1..1 to uint8 ``[frame, height, width, 3]`` on the CPU."""
    levels = (video.float().clamp(-1, 1) * 0.5 + 0.5) * 255
    return levels.to(torch.uint8).permute(1, 2, 3, 0).contiguous().cpu()
