"""A small random model: weights everywhere, so that no test passes on a zero output."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from kvbench_selfforcing_wan.config import WanConfig
from kvbench_selfforcing_wan.transformer import CausalWanTransformer, TextContext

sys.path.insert(0, str(Path(__file__).parent))  # for wan_files.py, which is no package

SMALL = WanConfig(
    name="small",
    layers=3,
    width=64,
    ffn_width=160,
    heads=4,
    freq_dim=32,
    text_width=24,
    text_length=12,
    latent_channels=4,
    latent_size=(4, 6),
    window_frames=6,
)


@pytest.fixture(scope="session")
def small() -> CausalWanTransformer:
    """Float32, 6 tokens per latent frame, a window of two chunks."""
    model = CausalWanTransformer(SMALL)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            gain = parameter[0].numel() ** -0.5 if parameter.ndim > 1 else 0.3
            gain = 0.3 if "modulation" in name else gain
            parameter.copy_(gain * torch.randn(parameter.shape, generator=generator))
            if "norm" in name and name.endswith("weight"):
                parameter.add_(1)
    return model.requires_grad_(False)


@pytest.fixture(scope="session")
def text(small: CausalWanTransformer) -> TextContext:
    """Of a batch of one."""
    generator = torch.Generator().manual_seed(1)
    return small.text_context(torch.randn(1, 12, 24, generator=generator))
