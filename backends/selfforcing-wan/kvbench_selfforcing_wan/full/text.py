"""Text features of prompts: what the transformer's cross-attention reads."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from attrs import define, field, frozen
from torch import Tensor

from kvbench_selfforcing_wan.config import WanConfig
from kvbench_selfforcing_wan.full.checkpoint import Weights, assign, check, on_meta, open_file
from kvbench_selfforcing_wan.full.extra import require
from kvbench_selfforcing_wan.noise import normal

UMT5_XXL = {
    "d_model": 4096,
    "d_kv": 64,
    "d_ff": 10240,
    "num_layers": 24,
    "num_heads": 64,
    "vocab_size": 256384,
    "relative_attention_num_buckets": 32,
    "relative_attention_max_distance": 128,
    "feed_forward_proj": "gated-gelu",
    "dense_act_fn": "gelu_new",
    "layer_norm_epsilon": 1e-6,
    "tie_word_embeddings": False,
}
"""``UMT5Config`` of the encoder that Wan2.1 was trained with."""

NAMES = (
    (r"token_embedding\.weight", "shared.weight"),
    (r"norm\.weight", "encoder.final_layer_norm.weight"),
    (r"blocks\.(\d+)\.norm1\.weight", r"encoder.block.\1.layer.0.layer_norm.weight"),
    (r"blocks\.(\d+)\.norm2\.weight", r"encoder.block.\1.layer.1.layer_norm.weight"),
    (
        r"blocks\.(\d+)\.attn\.([qkvo])\.weight",
        r"encoder.block.\1.layer.0.SelfAttention.\2.weight",
    ),
    (
        r"blocks\.(\d+)\.pos_embedding\.embedding\.weight",
        r"encoder.block.\1.layer.0.SelfAttention.relative_attention_bias.weight",
    ),
    (
        r"blocks\.(\d+)\.ffn\.gate\.0\.weight",
        r"encoder.block.\1.layer.1.DenseReluDense.wi_0.weight",
    ),
    (r"blocks\.(\d+)\.ffn\.fc1\.weight", r"encoder.block.\1.layer.1.DenseReluDense.wi_1.weight"),
    (r"blocks\.(\d+)\.ffn\.fc2\.weight", r"encoder.block.\1.layer.1.DenseReluDense.wo.weight"),
)
"""Wan's names to those of transformers' ``UMT5EncoderModel``."""


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
        words = min(len(prompt.split()) + 1, self.config.text_length)
        rows = normal(0, f"prompt {prompt}", (words, self.config.text_width))
        return padded(rows, self.config.text_length)


@define
class EncodedText:
    """Features by a text encoder that exists only while it is at work.

    ``open_encoder`` returns a tokenizer and an encoder, on whatever device it should work. What it
    made is kept: at most 4 MB a prompt.
    """

    config: WanConfig
    open_encoder: Callable[[], tuple[Any, Any]]
    _rows: dict[str, Tensor] = field(init=False, factory=dict)

    def prepare(self, prompts: Sequence[str]) -> None:
        new = [prompt for prompt in dict.fromkeys(prompts) if prompt not in self._rows]
        if not new:
            return
        tokenizer, encoder = self.open_encoder()
        for prompt in new:
            self._rows[prompt] = encode(tokenizer, encoder, prompt, self.config.text_length)
        del encoder
        if torch.cuda.is_initialized():
            torch.cuda.empty_cache()  # else the allocator keeps what the encoder has left

    def __call__(self, prompt: str) -> Tensor:
        self.prepare([prompt])
        return padded(self._rows[prompt], self.config.text_length)


@torch.inference_mode()
def encode(tokenizer: Any, encoder: Any, prompt: str, length: int) -> Tensor:
    """The rows of a prompt's tokens, at most ``length``, ``[token, text width]`` on the CPU.

    Without padding: masked positions would not change them.
    """
    ids = tokenizer(cleaned(prompt), truncation=True, max_length=length, return_tensors="pt")
    states = encoder(ids.input_ids.to(encoder.device)).last_hidden_state
    return torch.as_tensor(states[0]).cpu()


def padded(rows: Tensor, length: int) -> Tensor:
    """``[token, width]`` to ``[1, length, width]``, zero after the last token."""
    return torch.nn.functional.pad(rows, (0, 0, 0, length - len(rows)))[None]


def cleaned(prompt: str) -> str:
    """Broken encodings mended, HTML entities replaced, white space collapsed."""
    text = require("ftfy").fix_text(prompt)
    text = html.unescape(html.unescape(text))
    return re.sub(r"\s+", " ", text).strip()


def encoder_weights(path: Path) -> dict[str, Any]:
    """Wan's encoder file under the names of ``UMT5EncoderModel``; unknown names stay."""
    renamed = {_renamed(str(name)): value for name, value in open_file(path).items()}
    if "shared.weight" in renamed:
        renamed["encoder.embed_tokens.weight"] = renamed["shared.weight"]
    return renamed


def _renamed(name: str) -> str:
    for pattern, replacement in NAMES:
        if match := re.fullmatch(pattern, name):
            return match.expand(replacement)
    return name


def new_encoder(**config: Any) -> Any:
    """A ``UMT5EncoderModel`` on the meta device."""
    transformers = require("transformers")
    settings = transformers.UMT5Config(**(UMT5_XXL | config))
    return on_meta(lambda: transformers.UMT5EncoderModel(settings))


def checked_encoder(path: Path) -> dict[str, Any]:
    """The encoder's weights, checked but not read."""
    weights = encoder_weights(path)
    check(new_encoder(), weights, path)
    return weights


def place_encoder(weights: Weights, device: torch.device) -> Any:
    """The encoder in bf16."""
    return assign(new_encoder(), weights, device, torch.bfloat16)
