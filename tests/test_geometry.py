"""Which tokens a chunk may read, against a plain enumeration."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kvbench_core.geometry import CacheGeometry, Step


def step_at(geometry: CacheGeometry, chunk: int) -> Step:
    return Step(
        geometry=geometry,
        chunk=chunk,
        denoise_index=0,
        is_context=False,
        start_frame=chunk * geometry.chunk_frames,
        frames=geometry.chunk_frames,
    )


def readable_frames(geometry: CacheGeometry, end: int) -> set[int]:
    """Frames 0..end-1 that a chunk ending at ``end`` reads: the sink and the newest others."""
    if geometry.window_frames is None or end <= geometry.window_frames:
        return set(range(end))
    sink = set(range(geometry.sink_frames))
    newest = geometry.window_frames - geometry.sink_frames
    return sink | set(range(end - newest, end))


@given(
    chunk_frames=st.integers(1, 4),
    extra=st.none() | st.integers(0, 12),
    sink=st.integers(0, 4),
    chunk=st.integers(0, 12),
)
def test_history_is_sink_and_window(chunk_frames, extra, sink, chunk):
    window = None if extra is None else chunk_frames + sink + extra
    geometry = CacheGeometry(
        layers=1,
        heads=1,
        head_dim=2,
        grid=(1, 8),
        chunk_frames=chunk_frames,
        window_frames=window,
        sink_frames=0 if window is None else sink,
    )
    step = step_at(geometry, chunk)
    tokens = {t for start, stop in step.visible_history() for t in range(start, stop)}
    own = set(range(step.start, step.stop))
    expected = {
        frame * 8 + offset
        for frame in readable_frames(geometry, step.start_frame + chunk_frames)
        for offset in range(8)
    }
    assert tokens | own == expected
    assert not tokens & own


def test_published_cache_size():
    """Self-Forcing Wan2.1-1.3B at 42 latent frames: 12 076 646 400 bytes."""
    wan = CacheGeometry(layers=30, heads=12, head_dim=128, grid=(30, 52))
    assert wan.tokens_per_chunk == 4680
    assert wan.dense_bytes(42) == 12_076_646_400
