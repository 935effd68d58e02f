"""The objects: signed distances, surfaces and colours."""

from __future__ import annotations

import math

import torch
from torch import Tensor

PATCH = 48
"""Side of the square of pixels around an object's centre that its drawing can reach."""

PALETTE = (
    (0.88, 0.12, 0.12),  # red
    (0.98, 0.55, 0.08),  # orange
    (0.98, 0.92, 0.20),  # yellow
    (0.12, 0.74, 0.20),  # green
    (0.20, 0.88, 0.90),  # cyan
    (0.15, 0.25, 0.95),  # blue
    (0.68, 0.16, 0.84),  # purple
    (0.97, 0.97, 0.97),  # white
)
SHADE = 0.62
"""Brightness of the darker parts of a striped or dotted surface."""


def coverage(kind: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """How much of a pixel at ``(x, y)`` from the centre the object covers, 0..1.

    ``kind`` holds indices into KINDS and broadcasts against the coordinates (pixels).
    """
    distance = torch.zeros_like(x)
    for index, sdf in enumerate((_ball, _square, _triangle, _star, _ring, _cross)):
        distance = torch.where(kind == index, sdf(x, y), distance)
    return (0.5 - distance).clamp(0, 1)


def shading(surface: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Brightness factor of the surface at ``(x, y)``; ``surface`` indexes SURFACES."""
    stripe = ((x + 3) % 12) < 6
    dot = ((x + 6) % 12 - 6).square() + ((y + 6) % 12 - 6).square() < 3.4**2
    dark = ((surface == 1) & stripe) | ((surface == 2) & dot)
    return torch.where(dark, torch.full_like(x, SHADE), torch.ones_like(x))


def _ball(x: Tensor, y: Tensor) -> Tensor:
    return torch.hypot(x, y) - 18


def _square(x: Tensor, y: Tensor) -> Tensor:
    return torch.maximum(x.abs(), y.abs()) - 16


def _triangle(x: Tensor, y: Tensor) -> Tensor:
    """Equilateral, point up, inscribed in a circle of radius 22 around (0, 4)."""
    slant = math.sqrt(3) / 2 * x.abs() - (y - 4) / 2
    return torch.maximum(slant, y - 4) - 11


def _star(x: Tensor, y: Tensor) -> Tensor:
    """Five points: distance to an edge of the star, folded into one tenth of it."""
    sector = math.pi / 5
    angle = torch.atan2(x, -y).abs() % (2 * sector)
    angle = sector - (angle - sector).abs()
    radius = torch.hypot(x, y)
    outer, inner = 21.0, 10.0
    tip = (0.0, outer)
    dent = (inner * math.sin(sector), inner * math.cos(sector))
    edge = (dent[0] - tip[0], dent[1] - tip[1])
    length = math.hypot(*edge)
    px, py = radius * torch.sin(angle), radius * torch.cos(angle) - outer
    return (edge[0] * py - edge[1] * px) / length


def _ring(x: Tensor, y: Tensor) -> Tensor:
    return (torch.hypot(x, y) - 14).abs() - 5


def _cross(x: Tensor, y: Tensor) -> Tensor:
    upright = torch.maximum(x.abs() - 6, y.abs() - 19)
    lying = torch.maximum(x.abs() - 19, y.abs() - 6)
    return torch.minimum(upright, lying)
