"""Where a token sits: the shape of a rollout's KV cache and the step that touches it."""

from __future__ import annotations

from attrs import field, frozen
from attrs.validators import ge, optional

BF16_BYTES = 2


@frozen(kw_only=True)
class CacheGeometry:
    """What all layers of one rollout's self-attention cache have in common.

    A *latent frame* is ``grid[0] x grid[1]`` tokens in raster order; a *chunk* is
    ``chunk_frames`` latent frames that are generated together. Attention reads the newest
    ``window_frames`` latent frames (``None``: all of them), the current chunk included and the
    first ``sink_frames``, which are always read, counted in.
    """

    layers: int = field(validator=ge(1))
    heads: int = field(validator=ge(1))
    head_dim: int = field(validator=ge(1))
    grid: tuple[int, int]
    chunk_frames: int = field(default=3, validator=ge(1))
    window_frames: int | None = field(default=None, validator=optional(ge(1)))
    sink_frames: int = field(default=0, validator=ge(0))
    batch: int = field(default=1, validator=ge(1))

    @property
    def tokens_per_frame(self) -> int:
        return self.grid[0] * self.grid[1]

    @property
    def tokens_per_chunk(self) -> int:
        return self.chunk_frames * self.tokens_per_frame

    @property
    def token_bytes(self) -> int:
        """Bytes of one token's K and V in one layer, kept in bf16."""
        return 2 * BF16_BYTES * self.batch * self.heads * self.head_dim

    def dense_bytes(self, frames: int) -> int:
        """Bytes of the whole bf16 cache (all layers) after ``frames`` latent frames."""
        return self.layers * frames * self.tokens_per_frame * self.token_bytes


@frozen(kw_only=True)
class Step:
    """One forward pass over one chunk.

    ``denoise_index`` counts the passes over a chunk from 0. The last pass, with ``is_context``
    set, runs on the clean latent and writes the K and V that later chunks attend to; what the
    earlier passes write is tentative. ``denoise_steps`` is how many those are, where it is known.
    """

    geometry: CacheGeometry
    chunk: int = field(validator=ge(0))
    denoise_index: int = field(validator=ge(0))
    is_context: bool
    start_frame: int = field(validator=ge(0))
    frames: int = field(validator=ge(1))
    timestep: float = 0.0
    denoise_steps: int | None = field(default=None, validator=optional(ge(1)))

    @property
    def start(self) -> int:
        """Absolute position of the chunk's first token in the rollout."""
        return self.start_frame * self.geometry.tokens_per_frame

    @property
    def stop(self) -> int:
        """Absolute position after the chunk's last token."""
        return self.start + self.frames * self.geometry.tokens_per_frame

    def visible_history(self) -> tuple[tuple[int, int], ...]:
        """Token ranges before the chunk that attention may read: sink first, then the window.

        Together with the chunk itself they are ``window_frames`` long, sink included (Wan siblings
        such as LongLive count the sink as part of the window).
        """
        first, last = self.unreadable()
        ranges = ((0, first), (last, self.start)) if first < last else ((0, self.start),)
        return tuple((start, stop) for start, stop in ranges if start < stop)

    def unreadable(self) -> tuple[int, int]:
        """Tokens between sink and window, which neither this chunk nor a later one may read.

        ``(0, 0)`` as long as there are none.
        """
        geometry = self.geometry
        if geometry.window_frames is None:
            return 0, 0
        sink = geometry.sink_frames * geometry.tokens_per_frame
        newest = self.stop - geometry.window_frames * geometry.tokens_per_frame + sink
        first, last = min(sink, self.start), min(newest, self.start)
        return (first, last) if first < last else (0, 0)

    def readable(self) -> tuple[tuple[int, int], ...]:
        """Token ranges that attention may read: the visible history and the chunk itself."""
        return (*self.visible_history(), (self.start, self.stop))
