"""Seeded random weights at full geometry, made in place on the device.

They take as much memory and time as trained ones. Every layer keeps activations near unit scale:
weights have standard deviation ``1 / sqrt(fan in)``, norms start at one, biases are small.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

BIAS = 0.02


def fill(model: nn.Module, device: torch.device, dtype: torch.dtype, seed: int = 0) -> nn.Module:
    """Give a model on the meta device random parameters; the same for the same kind of device."""
    generator = torch.Generator(device).manual_seed(seed)
    made = {
        id(parameter): _random(name, parameter, generator, dtype)
        for name, parameter in model.named_parameters()
    }
    names = model.named_parameters(remove_duplicate=False)  # tied ones have several
    model.load_state_dict({name: made[id(p)] for name, p in names}, assign=True)
    return model.eval().requires_grad_(False)


def _random(name: str, like: Tensor, generator: torch.Generator, dtype: torch.dtype) -> Tensor:
    kind = name.rpartition(".")[2]
    if kind == "gamma" or (kind == "weight" and like.ndim == 1):
        return torch.ones(like.shape, device=generator.device, dtype=dtype)
    values = torch.randn(like.shape, generator=generator, device=generator.device, dtype=dtype)
    fan_in = like.shape[-1] if kind == "modulation" else like[0].numel()
    return values.mul_(BIAS if kind == "bias" else fan_in**-0.5)
