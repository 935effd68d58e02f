"""A folder of small random weights in the published layouts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from kvbench_selfforcing_wan.config import WanConfig
from kvbench_selfforcing_wan.full.backend import FullBackend
from kvbench_selfforcing_wan.full.checkpoint import on_meta
from kvbench_selfforcing_wan.full.synthetic import fill
from kvbench_selfforcing_wan.presets import TEXT_ENCODER, VAE, HubFile, Preset
from kvbench_selfforcing_wan.transformer import CausalWanTransformer

CPU = torch.device("cpu")
UMT5 = {"d_model": 24, "d_kv": 8, "d_ff": 32, "num_layers": 3, "num_heads": 3, "vocab_size": 40}
WORDS = ("<pad>", "</s>", "<unk>", "a", "red", "ball", "rolls", "&", "right")
PRESET = Preset(
    checkpoint=HubFile(repo="some/repo", path="checkpoints/small.pt"),
    key="generator_ema",
    config=WanConfig(
        name="small",
        layers=2,
        width=48,
        ffn_width=80,
        heads=2,
        freq_dim=32,
        text_width=24,
        text_length=12,
        latent_size=(4, 6),
        window_frames=6,
    ),
    licence="none",
)


def small() -> FullBackend:
    """The backend of :data:`PRESET`, as a plugin registers one."""
    return FullBackend("small", PRESET)


def write_all(folder: Path) -> None:
    """Checkpoint, text encoder, tokenizer and VAE."""
    write_checkpoint(folder)
    write_tokenizer(folder / "google" / "umt5-xxl")
    write_encoder(folder / TEXT_ENCODER.path)
    write_vae(folder / VAE.path)


def write_checkpoint(folder: Path) -> None:
    model = fill(on_meta(lambda: CausalWanTransformer(PRESET.config)), CPU, torch.float32)
    path = folder / PRESET.checkpoint.path
    path.parent.mkdir()
    state = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    torch.save({"generator_ema": state}, path)


def write_tokenizer(folder: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(WORDS)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        "$A </s>", special_tokens=[("</s>", 1)]
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    )
    fast.save_pretrained(folder)
    (folder / "special_tokens_map.json").write_text("{}")
    (folder / "spiece.model").touch()


def random_encoder() -> Any:
    """A small ``UMT5EncoderModel`` in bf16 with a relative-position bias that matters."""
    from kvbench_selfforcing_wan.full.text import new_encoder

    return fill(new_encoder(**UMT5), CPU, torch.bfloat16)


def write_encoder(path: Path) -> None:
    """Under Wan's names."""
    short = {
        "shared": "token_embedding",
        "encoder.final_layer_norm": "norm",
        "layer.0.layer_norm": "norm1",
        "layer.1.layer_norm": "norm2",
        "layer.0.SelfAttention.relative_attention_bias": "pos_embedding.embedding",
        "layer.0.SelfAttention": "attn",
        "layer.1.DenseReluDense.wi_0": "ffn.gate.0",
        "layer.1.DenseReluDense.wi_1": "ffn.fc1",
        "layer.1.DenseReluDense.wo": "ffn.fc2",
        "encoder.block": "blocks",
    }
    renamed = {}
    for name, tensor in random_encoder().state_dict().items():
        if name == "encoder.embed_tokens.weight":
            continue
        for theirs, wans in short.items():
            name = name.replace(theirs, wans)
        renamed[name] = tensor
    torch.save(renamed, path)


def random_vae() -> Any:
    """A small ``AutoencoderKLWan``."""
    from kvbench_selfforcing_wan.full.vae import new_vae

    return fill(new_vae(), CPU, torch.float32)


def write_vae(path: Path) -> None:
    """Under Wan's names."""
    state = random_vae().state_dict()
    torch.save({wans: state[name] for name, wans in vae_names(state).items()}, path)


def vae_names(state: dict[str, Tensor]) -> dict[str, str]:
    """Library names to Wan's, by asking the library's own conversion about every candidate."""
    from diffusers.loaders.single_file_utils import convert_wan_vae_to_diffusers

    candidates = {name: name for name in _candidates()}
    converted = convert_wan_vae_to_diffusers(candidates)
    return {name: wans for name, wans in converted.items() if name in state}


def _candidates() -> Iterator[str]:
    ends = [f"residual.{i}.{kind}" for i in (0, 2, 3, 6) for kind in ("gamma", "weight", "bias")]
    ends += [
        f"{part}.{kind}"
        for part in ("shortcut", "resample.1", "time_conv", "to_qkv", "proj")
        for kind in ("weight", "bias")
    ]
    ends.append("norm.gamma")
    for half, blocks in (("encoder", "downsamples"), ("decoder", "upsamples")):
        for block in [f"{blocks}.{i}" for i in range(20)] + [f"middle.{i}" for i in range(3)]:
            yield from (f"{half}.{block}.{end}" for end in ends)
        yield f"{half}.head.0.gamma"
        for part in ("conv1", "head.2"):
            yield from (f"{half}.{part}.{kind}" for kind in ("weight", "bias"))
    yield from (f"{conv}.{kind}" for conv in ("conv1", "conv2") for kind in ("weight", "bias"))
