"""Sizes of a causal Wan2.1 generator and of the rollout that it was trained for."""

from __future__ import annotations

from attrs import field, frozen
from attrs.validators import ge

from kvbench_core.geometry import CacheGeometry
from kvbench_selfforcing_wan.schedule import Schedule


@frozen(kw_only=True)
class WanConfig:
    """Everything that fixes the shape of a model and of its rollouts.

    ``latent_size`` is (height, width) of one latent frame; a token covers ``patch`` (time, row,
    column) latent cells. ``denoising_steps`` are on the 0..1000 scale, before warping by ``shift``
    if they are warped; a video's first chunk may have ``first_steps`` of its own.
    """

    name: str
    layers: int = field(validator=ge(1))
    width: int = field(validator=ge(1))
    ffn_width: int = field(validator=ge(1))
    heads: int = field(validator=ge(1))
    freq_dim: int = 256
    text_width: int = 4096
    text_length: int = 512
    latent_channels: int = 16
    latent_size: tuple[int, int]
    patch: tuple[int, int, int] = (1, 2, 2)
    chunk_frames: int = 3
    window_frames: int = 21
    sink_frames: int = 0
    shift: float = 5.0
    denoising_steps: tuple[int, ...] = (1000, 750, 500, 250)
    first_steps: tuple[int, ...] | None = None
    warp_steps: bool = True
    fps: int = 16
    default_frames: int = 42
    eps: float = 1e-6

    def schedule(self, chunk: int) -> Schedule:
        """Noise levels of a chunk's passes."""
        first = self.first_steps if chunk == 0 else None
        steps = first or self.denoising_steps
        return Schedule(shift=self.shift, steps=steps, warp=self.warp_steps)

    @property
    def head_dim(self) -> int:
        return self.width // self.heads

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of tokens in one latent frame."""
        return self.latent_size[0] // self.patch[1], self.latent_size[1] // self.patch[2]

    @property
    def tokens_per_frame(self) -> int:
        return self.grid[0] * self.grid[1]

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """Channel, height and width of one latent frame."""
        return self.latent_channels, *self.latent_size

    def geometry(self, batch: int = 1) -> CacheGeometry:
        """The shape of the self-attention cache that a rollout needs."""
        return CacheGeometry(
            layers=self.layers,
            heads=self.heads,
            head_dim=self.head_dim,
            grid=self.grid,
            chunk_frames=self.chunk_frames,
            window_frames=self.window_frames,
            sink_frames=self.sink_frames,
            batch=batch,
        )


WAN_1_3B = WanConfig(
    name="wan-1.3b", layers=30, width=1536, ffn_width=8960, heads=12, latent_size=(60, 104)
)
"""Self-Forcing on Wan2.1-T2V-1.3B at 480 x 832: 1560 tokens per latent frame."""

TINY = WanConfig(
    name="tiny",
    layers=6,
    width=256,
    ffn_width=768,
    heads=4,
    text_width=128,
    text_length=13,
    latent_size=(16, 18),
    denoising_steps=(760, 700, 600, 450),
    fps=8,
)
"""The generator that ships with the package: 72 tokens per latent frame.

Its four levels (0.941, 0.921, 0.882, 0.804) lie closer together than the large model's: it has
not been distilled, so a first chunk needs all four passes to settle on one scene.

72 = 8 x 9, like 1560 = 8 x 195, is 8 times an odd number: groups of 16 tokens straddle frames,
and chunks of 3 frames, in the same way in both models.
"""
