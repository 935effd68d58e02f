"""Chunk-by-chunk passes with a cache against one masked pass, and what positions mean."""

from __future__ import annotations

import pytest
import torch
from attrs import evolve
from sessions import DenseSession
from torch import Tensor
from torch.nn import functional

from kvbench_core.geometry import Step
from kvbench_selfforcing_wan.config import TINY, WAN_1_3B
from kvbench_selfforcing_wan.rope import TemporalRotation, grid_rotary, rotate
from kvbench_selfforcing_wan.transformer import CausalWanTransformer, TextContext, dense_attention

CHUNKS, SIZE, PER_FRAME = 4, 3, 6


def clip(frames: int = CHUNKS * SIZE, seed: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(1, frames, 4, 4, 6, generator=generator)


def chunk_step(model: CausalWanTransformer, chunk: int, index: int, context: bool) -> Step:
    return Step(
        geometry=model.config.geometry(),
        chunk=chunk,
        denoise_index=index,
        is_context=context,
        start_frame=chunk * SIZE,
        frames=SIZE,
    )


def masked(model: CausalWanTransformer, text: TextContext, x: Tensor, t: Tensor, sees: Tensor,
           positions: list[int]) -> Tensor:  # fmt: skip
    """One pass over all of ``x`` with an explicit mask between latent frames."""
    mask = sees.repeat_interleave(PER_FRAME, 0).repeat_interleave(PER_FRAME, 1)

    def attend(layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        scores = torch.einsum("bqhd,bkhd->bhqk", q, k) / q.shape[-1] ** 0.5
        weights = scores.masked_fill(~mask, float("-inf")).softmax(-1)
        return torch.einsum("bhqk,bkhd->bqhd", weights, v)

    return model(x, t, text, model.rotary(positions), attend)


def incremental(model: CausalWanTransformer, text: TextContext, clean: Tensor, noisy: Tensor,
                t: float) -> Tensor:  # fmt: skip
    """Noisy pass, then clean pass, chunk by chunk with the cache; the noisy passes' flows."""
    session, flows = DenseSession(model.config), []
    for chunk in range(clean.shape[1] // SIZE):
        own = slice(chunk * SIZE, (chunk + 1) * SIZE)
        rotary = model.rotary(range(own.start, own.stop))
        for index, (x, timestep) in enumerate(((noisy, t), (clean, 0.0))):
            session.begin_pass(chunk_step(model, chunk, index, index == 1))
            time = torch.full((1, 1), timestep)
            flow = model(x[:, own], time, text, rotary, session.attend)
            if index == 0:
                flows.append(flow)
    return torch.cat(flows, dim=1)


def test_noisy_and_clean_passes_equal_one_masked_pass(
    small: CausalWanTransformer, text: TextContext
) -> None:
    """[clean, noisy] with the teacher-forcing mask inside a window of two chunks."""
    clean, noisy = clip(), clip(seed=3)
    chunk = torch.arange(CHUNKS * SIZE) // SIZE
    back = chunk[:, None] - chunk[None]
    sees = torch.cat(
        (
            torch.cat(((back >= 0) & (back < 2), torch.zeros_like(back, dtype=torch.bool)), 1),
            torch.cat(((back > 0) & (back < 2), back == 0), 1),
        )
    )
    positions = [*range(CHUNKS * SIZE)] * 2
    t = torch.tensor([[0.0] * CHUNKS * SIZE + [625.0] * CHUNKS * SIZE])
    whole = masked(small, text, torch.cat((clean, noisy), 1), t, sees, positions)
    flows = incremental(small, text, clean, noisy, 625.0)
    assert flows.square().mean().sqrt() > 0.3
    torch.testing.assert_close(flows, whole[:, CHUNKS * SIZE :], atol=5e-6, rtol=1e-4)


@pytest.mark.parametrize(("window", "sink"), [(6, 0), (12, 0), (9, 3)])
def test_chunks_with_the_bf16_method_equal_one_block_causal_pass(
    small: CausalWanTransformer, text: TextContext, window: int, sink: int
) -> None:
    """The reference method's cache, in float32, against a mask over the whole clip."""
    clean = clip()
    config = evolve(small.config, window_frames=window, sink_frames=sink)
    session, flows = DenseSession(config), []
    for chunk in range(CHUNKS):
        own = range(chunk * SIZE, (chunk + 1) * SIZE)
        step = chunk_step(small, chunk, 0, True)
        session.begin_pass(evolve(step, geometry=config.geometry()))
        time = torch.zeros(1, 1)
        flows.append(small(clean[:, own], time, text, small.rotary(own), session.attend))
    frame = torch.arange(CHUNKS * SIZE)
    end = (frame // SIZE + 1)[:, None] * SIZE
    recent = frame[None] >= end - (window - sink)
    sees = (frame[None] < end) & (recent | (frame[None] < sink))
    times = torch.zeros(1, CHUNKS * SIZE)
    whole = masked(small, text, clean, times, sees, frame.tolist())
    assert whole.square().mean().sqrt() > 0.3
    assert (torch.cat(flows, 1) - whole).abs().max() <= 5e-6


def test_window_equals_long_buffer_with_read_limit(
    small: CausalWanTransformer, text: TextContext
) -> None:
    """Forgetting old chunks, and keeping but not reading them, give the same."""
    clean = clip()
    limit = small.config.window_frames * PER_FRAME

    class Ring:
        """Forgets what the window has left."""

        def __init__(self) -> None:
            self.past = [torch.empty(2, 1, 0, 4, 16)] * small.config.layers

        def begin_pass(self, step: Step) -> None:
            pass

        def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            self.past[layer] = torch.cat((self.past[layer], torch.stack((k, v))), 2)[:, :, -limit:]
            return dense_attention(q, *self.past[layer])

    results = []
    for session in (DenseSession(small.config), Ring()):
        for chunk in range(CHUNKS):
            own = slice(chunk * SIZE, (chunk + 1) * SIZE)
            session.begin_pass(chunk_step(small, chunk, 4, True))
            out = small(
                clean[:, own], torch.zeros(1, 1), text, small.rotary(range(own.start, own.stop)),
                session.attend,
            )  # fmt: skip
        results.append(out)
    torch.testing.assert_close(results[0], results[1], atol=1e-6, rtol=1e-5)


def test_only_differences_of_temporal_positions_matter(
    small: CausalWanTransformer, text: TextContext
) -> None:
    x, t = clip(6), torch.full((1, 6), 625.0)
    everything = torch.ones(6, 6, dtype=torch.bool)

    def at(positions: list[int]) -> Tensor:
        return masked(small, text, x, t, everything, positions)

    here = at([*range(6)])
    torch.testing.assert_close(at([*range(37, 43)]), here, atol=1e-5, rtol=1e-4)
    assert (at([0] * 6) - here).abs().max() > 0.01


def test_a_timestep_per_frame_equals_one_for_all(
    small: CausalWanTransformer, text: TextContext
) -> None:
    x, sees = clip(3), torch.ones(3, 3, dtype=torch.bool)
    one = masked(small, text, x, torch.full((1, 1), 937.5), sees, [0, 1, 2])
    each = masked(small, text, x, torch.full((1, 3), 937.5), sees, [0, 1, 2])
    torch.testing.assert_close(each, one, atol=1e-6, rtol=1e-5)
    mixed = masked(small, text, x, torch.tensor([[1000.0, 625.0, 0.0]]), sees, [0, 1, 2])
    assert (mixed - one).abs().max() > 0.01


def test_embedding_is_the_strided_convolution(small: CausalWanTransformer) -> None:
    x = clip(3)
    expected = small.patch_embedding(x.transpose(1, 2)).flatten(2).transpose(1, 2)
    torch.testing.assert_close(small.embed(x), expected, atol=1e-6, rtol=1e-5)


def test_unembedding_puts_channels_fastest(small: CausalWanTransformer) -> None:
    """Feature (p, q, c) of token (row, column) lands at channel c, (2 row + p, 2 column + q)."""
    time = small.time_features(torch.full((1, 1), 625.0))
    hidden = torch.randn(1, PER_FRAME, 64, generator=torch.Generator().manual_seed(4))
    features = small.head(hidden[:, None], time.head)[0, 0]
    latents = small.unembed(hidden, time)[0, 0]
    for token, p, q, c in ((0, 0, 0, 0), (4, 1, 0, 2), (5, 0, 1, 3)):
        row, column = divmod(token, 3)
        value = features[token, (p * 2 + q) * 4 + c]
        assert latents[c, 2 * row + p, 2 * column + q] == value


def test_full_size_has_the_parameters_of_the_checkpoint() -> None:
    with torch.device("meta"):
        model = CausalWanTransformer(WAN_1_3B)
    shapes = {name: tuple(p.shape) for name, p in model.state_dict().items()}
    assert len(shapes) == 825
    assert sum(p.numel() for p in model.parameters()) == 1_418_996_800
    assert shapes["patch_embedding.weight"] == (1536, 16, 1, 2, 2)
    assert shapes["blocks.29.self_attn.norm_q.weight"] == (1536,)
    assert shapes["blocks.0.modulation"] == (1, 6, 1536)
    assert shapes["head.head.weight"] == (64, 1536)
    assert shapes["time_projection.1.weight"] == (9216, 1536)


def test_rotation_pairs_and_angles() -> None:
    """44, 42, 42 channels of a head of 128; the pair (2p, 2p + 1) turns by its axis position."""
    x = torch.zeros(1, 2 * 6, 1, 128)
    x[..., 0::2] = 1
    turned = rotate(x, grid_rotary((5, 6), (2, 3), 128)).unflatten(-1, (-1, 2))
    angle = torch.atan2(turned[..., 1], turned[..., 0])[0, :, 0]
    token = 1 * 6 + 1 * 3 + 2
    for pair, expected in (
        (1, 6 * 10000 ** (-2 / 44)),
        (22, 1.0),
        (43 + 1, 2 * 10000 ** (-2 / 42)),
    ):
        assert float(angle[token, pair]) == pytest.approx(_principal(expected), abs=1e-5)


def _principal(angle: float) -> float:
    wide = torch.tensor(angle, dtype=torch.float64)
    return float(torch.atan2(wide.sin(), wide.cos()))


def test_temporal_rotation_moves_whole_tokens_in_time() -> None:
    x = torch.randn(1, 2 * 6, 2, 32, generator=torch.Generator().manual_seed(5))
    rotation, frames = TemporalRotation(32), torch.tensor([3] * 6 + [4] * 6)
    here = rotate(x, grid_rotary((0, 0), (2, 3), 32))
    there = rotate(x, grid_rotary((3, 4), (2, 3), 32))
    torch.testing.assert_close(rotation.rotate(here, frames), there, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(rotation.unrotate(there, frames), here, atol=1e-5, rtol=1e-4)


def test_groups_of_sixteen_straddle_alike_in_both_models() -> None:
    for config in (WAN_1_3B, TINY):
        assert config.tokens_per_frame % 16 == 8
        assert config.geometry().tokens_per_chunk % 16 == 8


def test_dense_attention_is_softmax_attention() -> None:
    q, k, v = torch.randn(3, 1, 5, 2, 8, generator=torch.Generator().manual_seed(6))
    weights = functional.softmax(torch.einsum("bqhd,bkhd->bhqk", q, k) / 8**0.5, dim=-1)
    expected = torch.einsum("bhqk,bkhd->bqhd", weights, v)
    torch.testing.assert_close(dense_attention(q, k, v), expected, atol=1e-6, rtol=1e-5)
