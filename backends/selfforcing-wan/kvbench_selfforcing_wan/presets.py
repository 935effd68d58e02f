"""The full-size generators: one transformer, different checkpoints and rollouts.

What their authors' releases agree on is the class's defaults. Left out, because their rollout is
another one: HiAR (step by step over all chunks), Rolling Forcing (several chunks at different
levels at once), LongLive's unbounded variant (keys kept before rotation); and Self-Forcing "10 s",
whose rollout was never published.
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import evolve, frozen

from kvbench_selfforcing_wan.config import WAN_1_3B, WanConfig

ONE_COPY = 5_676_000_000
"""A file with one float32 copy of the transformer."""
NONCOMMERCIAL = "CC BY-NC-SA 4.0"


@frozen(kw_only=True)
class HubFile:
    """A file on the Hugging Face Hub; size (about) and SHA-256 where they are known."""

    repo: str
    path: str
    bytes: int | None = None
    sha256: str | None = None

    @property
    def name(self) -> str:
        """Without folders."""
        return self.path.rpartition("/")[2]


TEXT_ENCODER = HubFile(
    repo="Wan-AI/Wan2.1-T2V-1.3B",
    path="models_t5_umt5-xxl-enc-bf16.pth",
    bytes=11_361_920_418,
)
VAE = HubFile(repo="Wan-AI/Wan2.1-T2V-1.3B", path="Wan2.1_VAE.pth", bytes=507_609_880)
TOKENIZER = tuple(
    HubFile(repo="Wan-AI/Wan2.1-T2V-1.3B", path=f"google/umt5-xxl/{name}")
    for name in (
        "tokenizer_config.json",
        "tokenizer.json",
        "special_tokens_map.json",
        "spiece.model",
    )
)


@frozen(kw_only=True)
class Preset:
    """A checkpoint and the rollout that it was trained for.

    ``key`` is the checkpoint's sub-dictionary with the weights. ``adapter`` is a LoRA to be merged
    into them. ``max_frames`` bounds a rollout: 1024 positions, or what the authors' cache holds.
    """

    checkpoint: HubFile
    key: str
    adapter: HubFile | None = None
    config: WanConfig = WAN_1_3B
    max_frames: int = 1024
    licence: str

    @property
    def weights(self) -> str:
        """What a run's record calls them."""
        return f"{self.checkpoint.name}:{self.key}"

    @property
    def files(self) -> tuple[HubFile, ...]:
        """Everything that generating needs, the checkpoint first."""
        adapter = (self.adapter,) if self.adapter else ()
        return (self.checkpoint, *adapter, TEXT_ENCODER, *TOKENIZER, VAE)


def _self_forcing(name: str, sha256: str | None = None) -> Preset:
    return Preset(
        checkpoint=HubFile(
            repo="gdhe17/Self-Forcing",
            path=f"checkpoints/self_forcing_{name}.pt",
            bytes=ONE_COPY,
            sha256=sha256,
        ),
        key="generator_ema",
        licence=NONCOMMERCIAL,
    )


def _causvid(folder: str, config: WanConfig, bytes_: int | None = None) -> Preset:
    return Preset(
        checkpoint=HubFile(repo="tianweiy/CausVid", path=f"{folder}/model.pt", bytes=bytes_),
        key="generator",
        config=evolve(config, default_frames=21),
        max_frames=21,  # its cache neither grows nor rolls
        licence="CC BY-NC 4.0",
    )


def _causal_forcing(path: str, key: str, config: WanConfig) -> Preset:
    return Preset(
        checkpoint=HubFile(repo="zhuhz22/Causal-Forcing", path=path),
        key=key,
        config=config,
        licence="Apache-2.0",
    )


FRAMEWISE = evolve(WAN_1_3B, chunk_frames=1)
LONGLIVE = "Efficient-Large-Model/LongLive-1.3B"

PRESETS: Mapping[str, Preset] = {
    "wan-1.3b": _self_forcing(
        "dmd",
        sha256="a0413986d9734e02c09504e1520f5697ba6df731bb2f0f35577485e9cc8f56a3",
    ),
    "self-forcing-sid": _self_forcing("sid"),
    "self-forcing-sid-v2": _self_forcing("sid_v2"),
    "self-forcing-gan": _self_forcing("gan"),
    "causvid": _causvid(
        "autoregressive_checkpoint",
        evolve(WAN_1_3B, shift=8.0, denoising_steps=(1000, 757, 522), warp_steps=False),
        11_352_649_716,
    ),
    "causvid-4step": _causvid(
        "autoregressive_checkpoint_warp_4step_cfg2", evolve(WAN_1_3B, shift=8.0)
    ),
    "longlive": Preset(
        checkpoint=HubFile(repo=LONGLIVE, path="models/longlive_base.pt", bytes=5_676_334_208),
        key="generator",
        adapter=HubFile(repo=LONGLIVE, path="models/lora.pt", bytes=2_800_056_690),
        config=evolve(WAN_1_3B, window_frames=12, sink_frames=3, default_frames=120),
        licence=NONCOMMERCIAL,
    ),
    "causal-forcing": _causal_forcing("chunkwise/causal_forcing.pt", "generator", WAN_1_3B),
    "causal-forcing-framewise": _causal_forcing(
        "framewise/causal_forcing.pt", "generator_ema", FRAMEWISE
    ),
    "causal-forcing-2step": _causal_forcing(
        "causal-forcing++/framewise-2step.pt",
        "generator_ema",
        evolve(FRAMEWISE, denoising_steps=(1000, 500), first_steps=FRAMEWISE.denoising_steps),
    ),
    "causal-forcing-1step": _causal_forcing(
        "causal-forcing++/framewise-1step.pt",
        "generator_ema",
        evolve(FRAMEWISE, denoising_steps=(1000,), first_steps=FRAMEWISE.denoising_steps),
    ),
}
