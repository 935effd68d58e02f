"""The Wan2.1 transformer (arXiv 2503.20314), run chunk by chunk as in Self-Forcing.

One code path for every size. Parameters carry the names of the original checkpoints. The module
knows nothing of a KV cache: self-attention hands its rotated queries and keys and its values to
the caller's ``attend`` and goes on with what comes back.

Activations keep the dtype of the weights throughout, residual stream and modulation included, as
the original does in bf16; only statistics of the norms, the rotation and the sinusoid are wider.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from attrs import frozen
from torch import Tensor, nn
from torch.nn import functional

from kvbench_selfforcing_wan.config import WanConfig
from kvbench_selfforcing_wan.rope import Rotary, grid_rotary, rotate

Attend = Callable[[int, Tensor, Tensor, Tensor], Tensor]
"""``attend(layer, q, k, v) -> out``, all ``[batch, token, head, dim]``; q and k are rotated."""

TextContext = Sequence[tuple[Tensor, Tensor]]
"""Per layer the keys and values of the prompt, each ``[batch, text token, head, dim]``."""


@frozen(eq=False)
class TimeFeatures:
    """What the timestep contributes: ``head [batch, frame, width]``, ``blocks [.., 6, width]``."""

    head: Tensor
    blocks: Tensor


class RMSNorm(nn.Module):
    """Normalise in float32, round, then scale: two roundings, like the original.

    A fused norm that is given the weight rounds once, and long rollouts then differ visibly.
    """

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        return functional.rms_norm(x, x.shape[-1:], eps=self.eps) * self.weight


class Attention(nn.Module):
    """Projections, q/k norm and output of one attention; the attention itself is the caller's."""

    def __init__(self, config: WanConfig) -> None:
        super().__init__()
        width = config.width
        self.q, self.k, self.v, self.o = (nn.Linear(width, width) for _ in range(4))
        self.norm_q = RMSNorm(width, config.eps)
        self.norm_k = RMSNorm(width, config.eps)
        self._heads = (config.heads, config.head_dim)

    def queries(self, x: Tensor) -> Tensor:
        return self.norm_q(self.q(x)).unflatten(-1, self._heads)

    def keys_values(self, x: Tensor) -> tuple[Tensor, Tensor]:
        keys = self.norm_k(self.k(x)).unflatten(-1, self._heads)
        return keys, self.v(x).unflatten(-1, self._heads)


class Block(nn.Module):
    """Self-attention, cross-attention to the prompt, FFN; the first and last are modulated."""

    def __init__(self, config: WanConfig) -> None:
        super().__init__()
        width = config.width
        self.self_attn = Attention(config)
        self.cross_attn = Attention(config)
        self.norm3 = nn.LayerNorm(width, config.eps)
        self.ffn = nn.Sequential(
            nn.Linear(width, config.ffn_width),
            nn.GELU(approximate="tanh"),
            nn.Linear(config.ffn_width, width),
        )
        self.modulation = nn.Parameter(torch.randn(1, 6, width) / width**0.5)
        self.eps = config.eps

    def forward(
        self,
        x: Tensor,
        time: Tensor,
        rotary: Rotary,
        text: tuple[Tensor, Tensor],
        attend: Attend,
        layer: int,
    ) -> Tensor:
        """One layer on ``x [batch, frame, token, width]``; ``time [batch, frame, 6, width]``."""
        shift, scale, gate, ffn_shift, ffn_scale, ffn_gate = (
            (self.modulation[:, None] + time).unsqueeze(3).unbind(2)
        )
        h = (_normed(x, self.eps) * (1 + scale) + shift).flatten(1, 2)
        q = rotate(self.self_attn.queries(h), rotary)
        k, v = self.self_attn.keys_values(h)
        out = attend(layer, q, rotate(k, rotary), v).flatten(2)
        x = x + gate * self.self_attn.o(out).view_as(x)
        q = self.cross_attn.queries(self.norm3(x).flatten(1, 2))
        x = x + self.cross_attn.o(dense_attention(q, *text).flatten(2)).view_as(x)
        h = _normed(x, self.eps) * (1 + ffn_scale) + ffn_shift
        return x + ffn_gate * self.ffn(h)


class Head(nn.Module):
    """From hidden tokens to the features of one patch each."""

    def __init__(self, config: WanConfig, features: int) -> None:
        super().__init__()
        self.head = nn.Linear(config.width, features)
        self.modulation = nn.Parameter(torch.randn(1, 2, config.width) / config.width**0.5)
        self.eps = config.eps

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """``x [batch, frame, token, width]``, ``time [batch, frame, width]``."""
        shift, scale = (self.modulation[:, None] + time[:, :, None]).unsqueeze(3).unbind(2)
        out: Tensor = self.head(_normed(x, self.eps) * (1 + scale) + shift)
        return out


class CausalWanTransformer(nn.Module):
    """Predicts the flow of one chunk; earlier chunks are reached through ``attend`` only."""

    def __init__(self, config: WanConfig) -> None:
        super().__init__()
        self.config = config
        width, (_, rows, columns) = config.width, config.patch
        self.patch_embedding = nn.Conv3d(config.latent_channels, width, config.patch, config.patch)
        self.text_embedding = nn.Sequential(
            nn.Linear(config.text_width, width),
            nn.GELU(approximate="tanh"),
            nn.Linear(width, width),
        )
        self.time_embedding = nn.Sequential(
            nn.Linear(config.freq_dim, width), nn.SiLU(), nn.Linear(width, width)
        )
        self.time_projection = nn.Sequential(nn.SiLU(), nn.Linear(width, 6 * width))
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.head = Head(config, rows * columns * config.latent_channels)

    @property
    def dtype(self) -> torch.dtype:
        return self.head.head.weight.dtype

    @property
    def device(self) -> torch.device:
        return self.head.head.weight.device

    def rotary(self, frames: Sequence[int]) -> Rotary:
        """Rotation of whole latent frames at the absolute positions ``frames``."""
        return grid_rotary(frames, self.config.grid, self.config.head_dim, self.device)

    def text_context(self, features: Tensor) -> TextContext:
        """Cross-attention keys and values of a prompt, computed once per video.

        ``features [batch, text token, text width]`` are used whole: there is no padding mask.
        """
        embedded = self.text_embedding(features.to(self.dtype))
        return [block.cross_attn.keys_values(embedded) for block in self._blocks()]

    def time_features(self, timestep: Tensor) -> TimeFeatures:
        """``timestep`` float ``[batch, frame]``, or ``[batch, 1]`` for all frames alike."""
        half = self.config.freq_dim // 2
        exponents = torch.arange(half, dtype=torch.float64, device=timestep.device) / half
        angles = timestep.double()[..., None] * 10000.0**-exponents
        sinusoid = torch.cat((angles.cos(), angles.sin()), dim=-1).to(self.dtype)
        head = self.time_embedding(sinusoid)
        blocks = self.time_projection(head).unflatten(-1, (6, self.config.width))
        return TimeFeatures(head, blocks)

    def embed(self, latents: Tensor) -> Tensor:
        """Latents ``[batch, frame, channel, height, width]`` to ``[batch, token, width]``."""
        patches = _patches(latents.to(self.dtype), self.config.grid)
        weight = self.patch_embedding.weight.flatten(1)
        return functional.linear(patches, weight, self.patch_embedding.bias).flatten(1, 2)

    def stack(
        self, tokens: Tensor, time: TimeFeatures, text: TextContext, rotary: Rotary, attend: Attend
    ) -> Tensor:
        """All layers on ``tokens [batch, token, width]``."""
        x = tokens.unflatten(1, (-1, self.config.tokens_per_frame))
        for layer, block in enumerate(self._blocks()):
            x = block(x, time.blocks, rotary, text[layer], attend, layer)
        return x.flatten(1, 2)

    def unembed(self, hidden: Tensor, time: TimeFeatures) -> Tensor:
        """Hidden tokens to the flow ``[batch, frame, channel, height, width]``."""
        (rows, columns), (_, p, q) = self.config.grid, self.config.patch
        x = self.head(hidden.unflatten(1, (-1, self.config.tokens_per_frame)), time.head)
        x = x.unflatten(2, (rows, columns)).unflatten(-1, (p, q, self.config.latent_channels))
        return x.permute(0, 1, 6, 2, 4, 3, 5).flatten(5, 6).flatten(3, 4)

    def forward(
        self, latents: Tensor, timestep: Tensor, text: TextContext, rotary: Rotary, attend: Attend
    ) -> Tensor:
        """Flow of ``latents [batch, frame, channel, height, width]``, same shape."""
        time = self.time_features(timestep)
        hidden = self.stack(self.embed(latents), time, text, rotary, attend)
        return self.unembed(hidden, time)

    def _blocks(self) -> Sequence[Block]:
        return self.blocks  # type: ignore[return-value]  # ModuleList forgets its element type


def dense_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Attention without mask, ``[batch, token, head, dim]``."""
    q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)
    return functional.scaled_dot_product_attention(q, k, v).transpose(1, 2)


def _normed(x: Tensor, eps: float) -> Tensor:
    return functional.layer_norm(x, x.shape[-1:], eps=eps)


def _patches(latents: Tensor, grid: tuple[int, int]) -> Tensor:
    """``[batch, frame, token, channel * patch row * patch column]``: the convolution's order."""
    batch, frames, channels, height, width = latents.shape
    rows, columns = grid
    x = latents.reshape(batch, frames, channels, rows, height // rows, columns, width // columns)
    return x.permute(0, 1, 3, 5, 2, 4, 6).flatten(4).flatten(2, 3)
