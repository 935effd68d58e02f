"""Backgrounds: one periodic texture each, so that only its offset is left open by a prompt.

The world is a torus of 128 x 144 pixels. Every texture has a fine pattern and one slow swell per
axis that tells where on the torus one is. Where there are walls, a dark line marks u = 0 and
another v = 0. Contrast and saturation stay low: the objects own the bright colours.
"""

from __future__ import annotations

import math
import random
from functools import cache

import torch
from torch import Tensor

HEIGHT, WIDTH = 128, 144
WALL_HALF_WIDTH = 3
_WALL = (0.07, 0.07, 0.08)
_SHADES = (
    ((0.20, 0.33, 0.17), (0.34, 0.45, 0.27)),  # meadow
    ((0.14, 0.24, 0.35), (0.28, 0.38, 0.46)),  # sea
    ((0.36, 0.25, 0.21), (0.48, 0.38, 0.33)),  # bricks
    ((0.24, 0.24, 0.26), (0.44, 0.43, 0.42)),  # checkers
    ((0.40, 0.34, 0.23), (0.53, 0.46, 0.34)),  # dunes
    ((0.09, 0.08, 0.17), (0.38, 0.38, 0.46)),  # night
)


@cache
def textures() -> Tensor:
    """Float32 ``[walled, background, row, column, rgb]`` in 0..1, in the order of BACKGROUNDS."""
    v, u = torch.meshgrid(
        2 * math.pi * torch.arange(HEIGHT) / HEIGHT,
        2 * math.pi * torch.arange(WIDTH) / WIDTH,
        indexing="ij",
    )
    patterns = (
        _wave(4 * u + 1.3 * torch.sin(3 * v)) * _wave(5 * v + torch.sin(2 * u)),
        _wave(5 * v + 1.5 * torch.sin(2 * u)),
        _bricks(),
        0.5 + 0.5 * torch.tanh(4 * torch.sin(3 * u) * torch.sin(2 * v)),
        _wave(3 * u + 3 * v + 1.2 * torch.sin(2 * v - u)),
        _star_map(),
    )
    swell = 1 + 0.18 * torch.cos(u) + 0.18 * torch.cos(v)
    open_air = torch.stack(
        [
            _mix(pattern, torch.tensor(dark), torch.tensor(light)) * swell[..., None]
            for pattern, (dark, light) in zip(patterns, _SHADES, strict=True)
        ]
    )
    near_wall = torch.zeros(HEIGHT, WIDTH, dtype=torch.bool)
    for offset in range(-WALL_HALF_WIDTH, WALL_HALF_WIDTH):
        near_wall[offset] = True
        near_wall[:, offset] = True
    walled = torch.where(near_wall[..., None], torch.tensor(_WALL), open_air)
    return torch.stack((open_air, walled)).clamp(0, 1)


def _wave(angle: Tensor) -> Tensor:
    return 0.5 + 0.5 * torch.sin(angle)


def _mix(pattern: Tensor, dark: Tensor, light: Tensor) -> Tensor:
    return dark + (light - dark) * pattern[..., None]


def _bricks() -> Tensor:
    rows, columns = torch.arange(HEIGHT)[:, None], torch.arange(WIDTH)[None]
    shifted = columns + 18 * ((rows // 16) % 2)
    mortar = (rows % 16 < 3) | (shifted % 36 < 3)
    tone = 0.25 * ((7 * (rows // 16) + 3 * (shifted % WIDTH // 36)) % 3) / 2
    return torch.where(mortar, torch.tensor(1.0), tone)


def _star_map() -> Tensor:
    """Soft dots at fixed places."""
    rng = random.Random(7)  # noqa: S311  (stars, not secrets)
    sky = torch.zeros(HEIGHT, WIDTH)
    rows, columns = torch.arange(HEIGHT)[:, None], torch.arange(WIDTH)[None]
    for _ in range(36):
        y, x, radius = rng.randrange(HEIGHT), rng.randrange(WIDTH), rng.uniform(2.5, 4.5)
        dy = (rows - y + HEIGHT // 2) % HEIGHT - HEIGHT // 2
        dx = (columns - x + WIDTH // 2) % WIDTH - WIDTH // 2
        sky = torch.maximum(sky, torch.exp(-(dx.square() + dy.square()) / radius**2))
    return sky
