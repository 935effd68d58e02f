"""The generator that ships with the package: checkpoint, prompt encoder, rollout, decoder."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import torch
from attrs import asdict, frozen
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from kvbench_selfforcing_wan.config import TINY, WanConfig
from kvbench_selfforcing_wan.noise import NoiseStreams
from kvbench_selfforcing_wan.rollout import OnChunk, Rollout, Session
from kvbench_selfforcing_wan.tiny import pixels
from kvbench_selfforcing_wan.tiny.grammar import Scene, parse
from kvbench_selfforcing_wan.tiny.tokens import VOCABULARY, tokenise
from kvbench_selfforcing_wan.transformer import CausalWanTransformer, TextContext

CHECKPOINT = Path(__file__).parent / "checkpoint.safetensors"


class TinyModel(nn.Module):
    """The transformer and the table of word vectors that stands for its text encoder."""

    def __init__(self, config: WanConfig = TINY) -> None:
        super().__init__()
        self.transformer = CausalWanTransformer(config)
        self.text_table = nn.Embedding(len(VOCABULARY), config.text_width)


@frozen(eq=False)
class TinyGenerator:
    """Prompt in, latents and frames out."""

    model: TinyModel

    @classmethod
    def load(
        cls,
        device: torch.device | str = "cpu",
        dtype: torch.dtype | None = None,
        path: Path = CHECKPOINT,
    ) -> TinyGenerator:
        """Weights from ``path``; ``dtype`` defaults to what is fastest on ``device``.

        Raises:
            ValueError: the file belongs to another configuration.
        """
        device = torch.device(device)
        with safe_open(path, framework="pt") as stored:
            found = (stored.metadata() or {}).get("config")
            weights = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
        if found != config_json(TINY):
            raise ValueError(f"tiny: {path} holds another configuration: {found}")
        with torch.device("meta"):
            model = TinyModel()
        model.load_state_dict(weights, assign=True)
        model.requires_grad_(False).eval()
        return cls(model.to(device, dtype or default_dtype(device)))

    @property
    def config(self) -> WanConfig:
        return self.model.transformer.config

    def text_context(self, prompt: str | Scene) -> TextContext:
        """Cross-attention keys and values of a prompt; any text will do."""
        scene = parse(prompt) if isinstance(prompt, str) else prompt
        ids = torch.tensor([tokenise(scene)], device=self.model.transformer.device)
        with torch.no_grad():
            return self.model.transformer.text_context(self.model.text_table(ids))

    def generate(
        self,
        prompt: str | Scene,
        seed: int,
        frames: int,
        session: Session,
        on_chunk: OnChunk | None = None,
        initial_latent: Tensor | None = None,
    ) -> Tensor:
        """Latents ``[1, frame, channel, height, width]`` of ``frames`` latent frames."""
        rollout = Rollout(
            model=self.model.transformer,
            text=self.text_context(prompt),
            noise=NoiseStreams(seed=seed, shape=self.config.latent_shape),
            frames=frames,
            initial_latent=initial_latent,
        )
        return rollout.run(session, on_chunk)

    def decode(self, latents: Tensor) -> Iterator[Tensor]:
        """Uint8 frames ``[frame, row, column, rgb]`` on the CPU, one chunk after the other.

        ``latents [1, frame, channel, height, width]`` may be a whole video or any part of it.
        """
        for chunk in latents[0].split(self.config.chunk_frames):
            yield pixels.to_uint8(pixels.decode(chunk)).cpu()


def default_dtype(device: torch.device) -> torch.dtype:
    """bf16 on a GPU, float32 on a CPU."""
    return torch.bfloat16 if device.type == "cuda" else torch.float32


def config_json(config: WanConfig) -> str:
    """The configuration as text, for the checkpoint's metadata."""
    return json.dumps(asdict(config), sort_keys=True)


def save_checkpoint(weights: dict[str, Tensor], path: Path, **about: str) -> None:
    """Write bf16 weights with the configuration and ``about`` as metadata."""
    half = {name: tensor.bfloat16().contiguous() for name, tensor in weights.items()}
    metadata = {"config": config_json(TINY), "licence": "Apache-2.0", **about}
    save_file(half, path, metadata=metadata)
