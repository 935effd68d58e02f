"""A transformer whose self-attention belongs to the caller."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import layer_norm

from kvbench_core.geometry import CacheGeometry

GEOMETRY = CacheGeometry(
    layers=2, heads=2, head_dim=32, grid=(8, 8), chunk_frames=3, window_frames=9
)
WIDTH = GEOMETRY.heads * GEOMETRY.head_dim
CHANNELS = 4
WEIGHTS = 2 * CHANNELS * WIDTH + GEOMETRY.layers * 4 * WIDTH**2

Attend = Callable[[int, Tensor, Tensor, Tensor], Tensor]


class Network:
    """Latent tokens ``[token, channel]`` to clean ones."""

    def __init__(self, device: torch.device) -> None:
        random = torch.Generator().manual_seed(0)

        def weights(rows: int, columns: int) -> Tensor:
            return (torch.randn(rows, columns, generator=random) / rows**0.5).to(device)

        self._embed, self._project = weights(CHANNELS, WIDTH), weights(WIDTH, CHANNELS)
        self._layers = [[weights(WIDTH, WIDTH) for _ in "qkvo"] for _ in range(GEOMETRY.layers)]

    def embedded(self, x: Tensor) -> Tensor:
        """The first layer's input, ``[token, width]``."""
        return x @ self._embed

    def clean(self, embedded: Tensor, text: Tensor, attend: Attend) -> Tensor:
        """What the noisy latent is thought to hide, ``[token, channel]``."""
        hidden = embedded + text
        for layer, (*qkv, out) in enumerate(self._layers):
            normal = layer_norm(hidden, (WIDTH,))
            shape = (1, len(hidden), GEOMETRY.heads, GEOMETRY.head_dim)
            q, k, v = ((normal @ w).reshape(shape).bfloat16() for w in qkv)
            hidden = hidden + attend(layer, q, k, v).float().reshape(-1, WIDTH) @ out
        return torch.tanh(hidden @ self._project)
