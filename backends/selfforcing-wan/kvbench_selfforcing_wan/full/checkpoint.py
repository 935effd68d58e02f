"""Weight files: opened without running code, checked by name and shape, then put on a device.

Reading and checking happen on the CPU, on memory that is mapped and not yet read: a wrong file is
refused in a second and before the device is touched.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from zipfile import is_zipfile

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from kvbench_core.errors import BackendError

CONTAINER_KEYS = ("generator_ema", "generator", "model")
WRAPPERS = re.compile(r"_fsdp_wrapped_module\.|_checkpoint_wrapped_module\.|_orig_mod\.")
Weights = Mapping[str, Tensor]


def open_file(path: Path) -> dict[str, Any]:
    """What a ``.pt``, ``.pth`` or ``.safetensors`` file holds; tensors are mapped, not read.

    Raises:
        BackendError: it is missing, damaged, or more than plain tensors.
    """
    try:
        if path.suffix == ".safetensors":
            return dict(load_file(path))
        mapped = is_zipfile(path)  # files of old versions of torch are none
        data = torch.load(path, map_location="cpu", mmap=mapped, weights_only=True)
    except OSError as error:
        raise BackendError(f"cannot read {path}: {error.strerror or error}") from error
    except Exception as error:  # what is no checkpoint makes the unpickler raise anything
        if re.search("global|reduce|instantiate", str(error), re.IGNORECASE):  # it names code
            raise BackendError(
                f"{path} holds more than tensors and is not loaded: that could run code in it"
            ) from error
        size = f"{path.stat().st_size:,} bytes"
        raise BackendError(
            f"{path} ({size}) is damaged or was not downloaded completely; delete it and fetch it "
            "again"
        ) from error
    if not isinstance(data, dict):
        raise BackendError(f"{path} holds a {type(data).__name__}, not named tensors")
    return data


def transformer_weights(path: Path, key: str) -> dict[str, Tensor]:
    """A generator's tensors under their plain names, from any of the published containers.

    ``key`` is preferred; else the first of :data:`CONTAINER_KEYS`; else the file itself is taken.
    """
    data = open_file(path)
    chosen = next((name for name in (key, *CONTAINER_KEYS) if isinstance(data.get(name), dict)), "")
    return {_plain(str(name)): value for name, value in (data[chosen] if chosen else data).items()}


def _plain(name: str) -> str:
    return WRAPPERS.sub("", name).removeprefix("module.").removeprefix("model.")


def check(model: nn.Module, weights: Mapping[str, Any], path: Path) -> None:
    """Compare names and shapes with a model (on the meta device).

    Raises:
        BackendError: naming the file and the first tensor that is missing, unknown or wrong.
    """
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    for problem, names in (
        ("lacks the tensor", expected.keys() - weights.keys()),
        ("has an unknown tensor", weights.keys() - expected.keys()),
    ):
        if names:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            raise BackendError(
                f"{path} is not the checkpoint of this model: it {problem} {min(names)!r}{more}"
            )
    for name, shape in sorted(expected.items()):
        found = weights[name]
        if not isinstance(found, Tensor) or not found.is_floating_point():
            raise BackendError(f"{path}: {name!r} is no tensor of floating-point numbers")
        if tuple(found.shape) != shape:
            raise BackendError(
                f"{path}: {name!r} has shape {tuple(found.shape)}; this model's is {shape}"
            )


def assign(
    model: nn.Module, weights: Weights, device: torch.device, dtype: torch.dtype
) -> nn.Module:
    """Give a model on the meta device its checked weights, one tensor after the other."""
    tensors = {id(tensor): tensor for tensor in weights.values()}  # tied ones once
    placed = {key: tensor.to(device).to(dtype) for key, tensor in tensors.items()}
    model.load_state_dict(
        {name: placed[id(tensor)] for name, tensor in weights.items()}, assign=True
    )
    return model.eval().requires_grad_(False)


LORA = re.compile(r"(?:base_model\.model\.)?(.+)\.lora_([AB])(?:\.default)?\.weight")


def merged(weights: Weights, adapter: Path, key: str = "generator_lora") -> dict[str, Tensor]:
    """``W + B A`` in float32 for each linear layer that a LoRA (arXiv 2106.09685) has factors for.

    Rank and alpha are equal in the published adapter, so the product is not scaled.

    Raises:
        BackendError: the adapter's names or shapes do not fit.
    """
    data = open_file(adapter)
    factors: dict[str, dict[str, Tensor]] = {}
    for name, value in (data.get(key) or data).items():
        match = LORA.fullmatch(WRAPPERS.sub("", str(name)))
        if match is None or f"{match[1]}.weight" not in weights:
            raise BackendError(f"{adapter}: {name!r} belongs to no layer of this model")
        factors.setdefault(match[1], {})[match[2]] = value
    result = dict(weights)
    for layer, pair in factors.items():
        base = weights[f"{layer}.weight"]
        if pair.keys() != {"A", "B"} or (len(pair["B"]), pair["A"].shape[-1]) != base.shape:
            raise BackendError(f"{adapter}: the factors of {layer!r} are incomplete or misshaped")
        result[f"{layer}.weight"] = base.float() + pair["B"].float() @ pair["A"].float()
    return result


def on_meta(build: Callable[[], nn.Module]) -> Any:
    """A model with shapes and without memory."""
    with torch.device("meta"):
        return build()
