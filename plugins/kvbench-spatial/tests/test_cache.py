"""What a spatial cache keeps and reads, token by token, with a codec that is defined here."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from attrs import evolve, frozen
from hypothesis import given, settings
from hypothesis import strategies as st

from kvbench_core.cache import ErrorBound, KVCodec, Planes, TensorCodec
from kvbench_core.conformance.inputs import Inputs
from kvbench_core.conformance.oracle import dense_attention, readable_tokens
from kvbench_core.conformance.rollout import open_session, play, run_pass
from kvbench_core.geometry import CacheGeometry
from kvbench_core.policy import compose
from kvbench_spatial.tiering import Spatial

GEOMETRY = CacheGeometry(layers=1, heads=2, head_dim=4, grid=(3, 7), chunk_frames=3)


@frozen(eq=False)
class MeanPlanes(Planes):
    mean: torch.Tensor


@frozen
class Mean(TensorCodec):
    """A third party's codec: of each group it keeps the mean. Knows nothing of tiers."""

    group_tokens: int = 4
    shift: float = 0.0

    def encode(self, x):
        missing = -x.shape[1] % self.group_tokens
        groups = torch.nn.functional.pad(x, (0, 0, 0, 0, 0, missing)).unflatten(
            1, (-1, self.group_tokens)
        )
        return MeanPlanes(groups.mean(2))

    def decode(self, planes, out):
        spread = planes.mean.repeat_interleave(self.group_tokens, dim=1) + self.shift
        out.copy_(spread[:, : out.shape[1]])

    def error_bound(self):
        return ErrorBound(relative=1.0, absolute=abs(self.shift))


def mean(group_tokens, shift=0.0):
    codec = Mean(group_tokens, shift)
    return KVCodec(key=codec, value=codec)


def grouped_means(x, group_tokens, shift):
    """``[batch, token, ...]``: whole groups become their mean, the rest stays; a plain loop."""
    expected = x.clone()
    for first in range(0, x.shape[1] // group_tokens * group_tokens, group_tokens):
        group = x[:, first : first + group_tokens]
        expected[:, first : first + group_tokens] = group.mean(1, keepdim=True) + shift
    return expected


def expected_content(inputs, part, foreground, background):
    """K and V after the rollout: each chunk's mask from all frames so far, tokens in two queues."""
    positions, frames = inputs.geometry.tokens_per_frame, inputs.geometry.chunk_frames
    v = inputs.v[0].float().unflatten(1, (-1, positions)).abs().mean((0, 3, 4))
    queues = {True: [], False: []}
    for chunk in range(inputs.chunks):
        seen = (chunk + 1) * frames
        mask = torch.ones(positions, dtype=torch.bool)
        if seen > 1:
            mask = part.mask(v[:seen].var(0, correction=0))
        for frame in range(seen - frames, seen):
            for position in range(positions):
                queues[bool(mask[position])].append(frame * positions + position)
    contents = []
    for x in (inputs.k[0], inputs.v[0]):
        content = torch.zeros_like(x)
        for which, (group_tokens, shift) in ((True, foreground), (False, background)):
            content[:, queues[which]] = grouped_means(x[:, queues[which]], group_tokens, shift)
        contents.append(content)
    return contents


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 99),
    grid=st.sampled_from([(1, 1), (1, 5), (3, 7), (4, 4)]),
    chunk_frames=st.integers(1, 3),
    chunks=st.integers(1, 4),
    batch=st.integers(1, 2),
    policy=st.sampled_from(["hybrid", "top-k", "threshold"]),
    groups=st.sampled_from([(1, 1), (4, 4), (16, 3), (5, 16)]),
)
def test_content_is_each_part_s_codec_over_the_gathered_order(
    seed, grid, chunk_frames, chunks, batch, policy, groups
):
    geometry = CacheGeometry(
        layers=1, heads=2, head_dim=4, grid=grid, chunk_frames=chunk_frames, batch=batch
    )
    inputs = Inputs.make(geometry, seed=seed, chunks=chunks)
    part = Spatial(mean(groups[0], 0.5), policy, 0.3, 0.8, 0.5, threshold=0.05)
    content = play(compose([mean(groups[1]), part]), inputs).contents[-1][0]
    expected = expected_content(inputs, part, (groups[0], 0.5), (groups[1], 0.0))
    assert content.present.all()
    for have, want in zip((content.k, content.v), expected, strict=True):
        torch.testing.assert_close(have, want)


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("window", [None, 3, 5])
def test_attention_is_dense_over_the_content_within_the_window(batch, window):
    geometry = evolve(GEOMETRY, batch=batch, window_frames=window, sink_frames=window == 5)
    policy = compose([mean(4), Spatial(mean(3, 0.5))])
    inputs = Inputs.make(geometry)
    session = open_session(policy, inputs)
    for chunk in range(inputs.chunks):
        for step in inputs.steps(chunk):
            content = session.layers[0].materialise(step.start)
            q, k, v = inputs.at(0, step)
            (out,) = run_pass(session, inputs, step)
            seen = torch.cat([readable_tokens(step), torch.ones(k.shape[1], dtype=torch.bool)])
            expected = dense_attention(
                q,
                torch.cat([content.k, k], dim=1),
                torch.cat([content.v, v], dim=1),
                seen[:, None].expand(-1, geometry.heads),
            )
            torch.testing.assert_close(out.float(), expected, atol=0.03, rtol=0.02)


@pytest.mark.parametrize("tokens", [1, 20, 21, 22, 63, 100, 189])
def test_content_can_be_cut_anywhere(tokens):
    inputs = Inputs.make(GEOMETRY, chunks=3)
    policy = compose([mean(4), Spatial(mean(3))])
    session = open_session(policy, inputs)
    play(policy, inputs, session)
    whole, part = (session.layers[0].materialise(n) for n in (189, tokens))
    assert torch.equal(part.k, whole.k[:, :tokens])
    assert torch.equal(part.v, whole.v[:, :tokens])
    assert part.present.all()


def test_each_token_is_coded_once(monkeypatch):
    coded = []
    encode = Mean.encode

    def spy(self, x):
        coded.append(x.shape[1])
        return encode(self, x)

    monkeypatch.setattr(Mean, "encode", spy)
    play(compose([mean(1), Spatial(mean(1))]), Inputs.make(GEOMETRY, chunks=6))
    assert sum(coded) == 2 * 6 * GEOMETRY.tokens_per_chunk


def test_tokens_never_change_part():
    """What an early chunk decided stands, whatever moves later."""
    inputs = Inputs.make(GEOMETRY, chunks=4)
    inputs.v[0][:, 63:, :, :] *= torch.linspace(0, 9, 189)[None, :, None, None].bfloat16()
    contents = play(compose([mean(1, 1.0), Spatial(mean(1, 5.0))]), inputs).contents
    for earlier, later in pairwise(contents):
        assert torch.equal(earlier[0].k, later[0].k[:, : earlier[0].k.shape[1]])


def test_masks_cost_a_bit_per_position_and_chunk():
    policy = compose([mean(1), Spatial(mean(1), "top-k")])
    session = open_session(policy, inputs := Inputs.make(GEOMETRY, chunks=4))
    play(policy, inputs, session)
    tokens = 4 * 63 * 2 * 2 * 4 * 2  # every token as its own mean, K and V in bf16
    masks, statistics = 4 * 3, 2 * 21 * 4
    assert session.stored_bytes() == tokens + masks + statistics


def test_a_rollout_of_single_frames_starts_as_foreground():
    """One frame shows no change (the study's rule), so all of it is foreground."""
    geometry = evolve(GEOMETRY, chunk_frames=1)
    inputs = Inputs.make(geometry, chunks=3)
    played = play(compose([mean(1, 1.0), Spatial(mean(1, 5.0))]), inputs)
    added = played.contents[-1][0].k - inputs.k[0]
    assert (added[:, :21].float().mean((0, 2, 3)) > 4).all()
    assert (added[:, 21:].float().mean((0, 2, 3)) < 2).any()


def test_keys_and_values_of_any_strides():
    inputs = Inputs.make(GEOMETRY, chunks=2)
    apart = evolve(
        inputs,
        k=tuple(k.transpose(1, 2).contiguous().transpose(1, 2) for k in inputs.k),
        v=tuple(v.mT.contiguous().mT for v in inputs.v),
    )
    policy = compose([mean(4), Spatial(mean(3))])
    contents = []
    for which in (inputs, apart):
        session = open_session(policy, which)
        for chunk in range(2):
            *_, step = which.steps(chunk)
            span = slice(step.start, step.stop)
            session.begin_pass(step)
            session.attend(0, which.q[0][:, span], which.k[0][:, span], which.v[0][:, span])
        contents.append(session.layers[0].materialise(2 * GEOMETRY.tokens_per_chunk))
    assert torch.equal(contents[0].k, contents[1].k)
    assert torch.equal(contents[0].v, contents[1].v)
