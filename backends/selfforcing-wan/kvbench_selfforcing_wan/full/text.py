"""Text features of prompts: what the transformer's cross-attention reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from attrs import frozen
from torch import Tensor

from kvbench_selfforcing_wan.config import WanConfig
from kvbench_selfforcing_wan.noise import normal


class TextFeatures(Protocol):
    """Prompts to features ``[1, text token, text width]`` on the CPU, zero after the last token."""

    def prepare(self, prompts: Sequence[str]) -> None:
        """Encode many prompts at once, so that the encoder need not stay."""

    def __call__(self, prompt: str) -> Tensor:
        """One prompt's features."""


@frozen
class SyntheticText:
    """Features that follow from the prompt's text alone and mean nothing; one row for a word."""

    config: WanConfig

    def prepare(self, prompts: Sequence[str]) -> None:
        """There is no encoder."""

    def __call__(self, prompt: str) -> Tensor:
        length, width = self.config.text_length, self.config.text_width
        words = min(len(prompt.split()) + 1, length)
        features = torch.zeros(1, length, width)
        features[0, :words] = normal(0, f"prompt {prompt}", (words, width))
        return features
