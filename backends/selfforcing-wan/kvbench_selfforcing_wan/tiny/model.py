"""Weights of the small model: what is in the checkpoint, how it is read and written."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from attrs import asdict, fields
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from kvbench_selfforcing_wan.config import TINY, WanConfig
from kvbench_selfforcing_wan.noise import NoiseStreams
from kvbench_selfforcing_wan.rollout import Rollout
from kvbench_selfforcing_wan.tiny.grammar import Scene
from kvbench_selfforcing_wan.tiny.tokens import VOCABULARY, tokenise
from kvbench_selfforcing_wan.transformer import CausalWanTransformer

CHECKPOINT = Path(__file__).with_name("checkpoint.safetensors")


class TinyModel(nn.Module):
    """The transformer and the table of word vectors that stands for its text encoder."""

    def __init__(self, config: WanConfig = TINY) -> None:
        super().__init__()
        self.transformer = CausalWanTransformer(config)
        self.text_table = nn.Embedding(len(VOCABULARY), config.text_width)

    @classmethod
    def load(cls, path: Path = CHECKPOINT, dtype: torch.dtype = torch.float32) -> TinyModel:
        """Weights from ``path``, on the CPU.

        float32 is the fastest dtype on a CPU for a model of this size; the file holds bf16.

        Raises:
            ValueError: the file belongs to another configuration.
        """
        with safe_open(path, framework="pt") as stored:
            found = (stored.metadata() or {}).get("config")
            weights = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
        if _full(found) != config_json():
            raise ValueError(f"tiny: {path} holds another configuration: {found}")
        with torch.device("meta"):
            model = cls()
        model.load_state_dict(weights, assign=True)
        return model.to(dtype).eval().requires_grad_(False)

    def rollout(self, scene: Scene, seed: int, frames: int) -> Rollout:
        """A rollout of ``frames`` latent frames, ready to run."""
        ids = torch.tensor([tokenise(scene)], device=self.transformer.device)
        return Rollout(
            model=self.transformer,
            text=self.transformer.text_context(self.text_table(ids)),
            noise=NoiseStreams(seed=seed, shape=self.transformer.config.latent_shape),
            frames=frames,
        )


def config_json() -> str:
    """The configuration as text, for the checkpoint's metadata."""
    return json.dumps(asdict(TINY), sort_keys=True)


def _full(stored: str | None) -> str:
    """A stored configuration with today's defaults for what it does not name."""
    defaults = {field.name: field.default for field in fields(WanConfig)}
    return json.dumps({**defaults, **json.loads(stored or "{}")}, default=str, sort_keys=True)


def save_checkpoint(weights: dict[str, Tensor], path: Path, **about: str) -> None:
    """Write bf16 weights with the configuration and ``about`` as metadata."""
    half = {name: tensor.bfloat16().contiguous() for name, tensor in weights.items()}
    metadata = {"config": config_json(), "licence": "Apache-2.0", **about}
    save_file(half, path, metadata=metadata)
