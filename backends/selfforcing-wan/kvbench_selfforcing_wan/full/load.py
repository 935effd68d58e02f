"""From files to a loaded generator. Everything is found and checked before the device is used."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from kvbench_core.errors import BackendError
from kvbench_selfforcing_wan.config import WanConfig
from kvbench_selfforcing_wan.full.checkpoint import (
    assign,
    check,
    merged,
    on_meta,
    open_file,
    transformer_weights,
)
from kvbench_selfforcing_wan.full.extra import require
from kvbench_selfforcing_wan.full.generator import WanGenerator
from kvbench_selfforcing_wan.full.shelf import Shelf
from kvbench_selfforcing_wan.full.text import EncodedText, checked_encoder, place_encoder
from kvbench_selfforcing_wan.full.vae import WanVAE, new_vae
from kvbench_selfforcing_wan.presets import TEXT_ENCODER, VAE, Preset
from kvbench_selfforcing_wan.transformer import CausalWanTransformer

ENCODER_BYTES = 12 * 2**30
"""What the text encoder needs on a device, with room for its activations."""


def load(
    name: str,
    preset: Preset,
    config: WanConfig,
    shelf: Shelf,
    device: torch.device,
    beginning: Tensor | None = None,
) -> WanGenerator:
    """The generator of a preset, in bf16.

    ``config`` is the preset's, perhaps at another resolution; ``beginning`` are frames to continue.

    Raises:
        BackendError: a file is missing, damaged or another model's, or a library is missing.
    """
    shelf.require(name, preset.files)
    transformer = on_meta(lambda: CausalWanTransformer(config))
    path = found(shelf.find(preset.checkpoint))
    weights = transformer_weights(path, preset.key)
    check(transformer, weights, path)
    if preset.adapter:
        weights = merged(weights, found(shelf.find(preset.adapter)))
    place_vae = vae_loader(shelf)
    encoder = encoder_opener(shelf, device)
    assign(transformer, weights, device, torch.bfloat16)
    text = EncodedText(config, encoder)
    return WanGenerator(transformer, text, lambda: place_vae(device), beginning)


def vae_loader(shelf: Shelf) -> Callable[[torch.device], WanVAE]:
    """Check the VAE's weights; what is returned puts them on a device in bf16."""
    diffusers = require("diffusers")
    folder, path = shelf.find_folder("vae"), shelf.find(VAE)
    if path is None:
        model = _from_folder(diffusers.AutoencoderKLWan, found(folder))
        return lambda device: WanVAE(model.to(device))
    utilities = require("diffusers.loaders.single_file_utils")
    model = new_vae()
    weights = utilities.convert_wan_vae_to_diffusers(open_file(path))
    check(model, weights, path)
    return lambda device: WanVAE(assign(model, weights, device, torch.bfloat16))


def encoder_opener(shelf: Shelf, device: torch.device) -> Callable[[], tuple[Any, Any]]:
    """Check the text encoder's weights and open the tokenizer; what is returned has both.

    The encoder works on the device if there is room for it, and else on the CPU.
    """
    transformers, _ = require("transformers"), require("ftfy")
    folder, path = shelf.find_folder("text_encoder"), shelf.find(TEXT_ENCODER)
    weights = checked_encoder(path) if path else None
    tokenizer = _tokenizer(found(shelf.tokenizer()))

    def open_encoder() -> tuple[Any, Any]:
        place = device if _has_room(device) else torch.device("cpu")
        if weights is not None:
            return tokenizer, place_encoder(weights, place)
        return tokenizer, _from_folder(transformers.UMT5EncoderModel, found(folder)).to(place)

    return open_encoder


def _tokenizer(folder: Path) -> Any:
    try:
        return require("transformers").AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        first = str(error).partition("\n")[0]
        raise BackendError(f"{folder} cannot be loaded as a tokenizer: {first}") from error


def _has_room(device: torch.device) -> bool:
    return device.type == "cuda" and torch.cuda.mem_get_info(device)[0] > ENCODER_BYTES


def _from_folder(kind: Any, folder: Path) -> Any:
    """A model in the library's format, on the CPU in bf16; pickles are not opened.

    Raises:
        BackendError: the folder's files are damaged or another model's.
    """
    try:
        model = kind.from_pretrained(
            folder, torch_dtype=torch.bfloat16, local_files_only=True, use_safetensors=True
        )
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        first = str(error).partition("\n")[0]
        raise BackendError(f"{folder} cannot be loaded as a {kind.__name__}: {first}") from error
    return model.eval().requires_grad_(False)


def found(path: Path | None) -> Path:
    """A path that has been found before."""
    assert path is not None, "the shelf was searched first"
    return path
