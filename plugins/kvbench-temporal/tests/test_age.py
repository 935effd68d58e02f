"""Which tokens are old, and what is kept of them, token by token."""

from __future__ import annotations

import pytest
import torch
from attrs import evolve, frozen
from hypothesis import given, settings
from hypothesis import strategies as st

from kvbench_core.cache import ErrorBound, KVCodec, Planes, TensorCodec
from kvbench_core.conformance.inputs import Inputs
from kvbench_core.conformance.oracle import dense_attention, readable_tokens
from kvbench_core.conformance.rollout import open_session, run_pass
from kvbench_core.errors import KvbenchError
from kvbench_core.geometry import CacheGeometry
from kvbench_core.policy import compose
from kvbench_core.registry import build_registry
from kvbench_temporal.tiering import Age

GEOMETRY = CacheGeometry(layers=1, heads=2, head_dim=4, grid=(3, 7), chunk_frames=2)


@frozen(eq=False)
class MarkedPlanes(Planes):
    values: torch.Tensor


@frozen
class Marked(TensorCodec):
    """A third party's codec: adds a mark to what it codes. Knows nothing of tiers."""

    mark: float = 0.0
    group_tokens: int = 1

    def encode(self, x):
        missing = -x.shape[1] % self.group_tokens
        filled = torch.nn.functional.pad(x, (0, 0, 0, 0, 0, missing))
        return MarkedPlanes(filled.unflatten(1, (-1, self.group_tokens)) + self.mark)

    def decode(self, planes, out):
        out.copy_(planes.values.flatten(1, 2)[:, : out.shape[1]])

    def error_bound(self):
        return ErrorBound(relative=0.0, absolute=self.mark)


def marked(mark, group_tokens=1):
    codec = Marked(mark, group_tokens)
    return KVCodec(key=codec, value=codec)


def zeros(geometry, chunks):
    """A rollout whose clean K and V are zero, so that what is kept are the marks."""
    inputs = Inputs.make(geometry, chunks=chunks)
    blank = tuple(torch.zeros_like(k) for k in inputs.k)
    return evolve(inputs, k=blank, v=blank)


NEW, OLD = 1, 16


def watch(policy, inputs):
    """Tokens that count and the marks on finished tokens, while each chunk is generated and after.

    ``kind`` says which codings a token has seen: 1 new, 16 old, 17 first one and then the other.
    """
    session = open_session(policy, inputs)
    for chunk in range(inputs.chunks):
        for step in inputs.steps(chunk):
            run_pass(session, inputs, step)
            finished = step.stop if step.is_context else step.start
            if finished:
                content = session.layers[0].materialise(finished)
                assert content.present.all()
                marks = content.v[:, :, :, 0].flatten(0).unique_consecutive()
                kinds = content.v[0, :, 0, 0].int().tolist()
                assert torch.equal(content.k, content.v)
                assert (content.v == content.v[:1, :, :1, :1]).all()
                assert set(marks.int().tolist()) <= {0, NEW, OLD, NEW + OLD}
                yield step.stop, kinds


@settings(max_examples=40, deadline=None)
@given(
    share=st.one_of(st.floats(0.01, 1), st.sampled_from([0.15, 0.3, 0.5, 1])),
    grid=st.sampled_from([(1, 1), (1, 5), (3, 7)]),
    chunk_frames=st.integers(1, 3),
    chunks=st.integers(1, 6),
    batch=st.integers(1, 2),
)
def test_the_newest_share_of_what_exists_is_new(share, grid, chunk_frames, chunks, batch):
    geometry = CacheGeometry(
        layers=1, heads=1, head_dim=2, grid=grid, chunk_frames=chunk_frames, batch=batch
    )
    policy = compose([marked(OLD), Age(marked(NEW), share)])
    for exist, kinds in watch(policy, zeros(geometry, chunks)):
        newest = max(1, round(share * exist))
        for token, kind in enumerate(kinds):
            assert (kind == NEW) == (token >= exist - newest)


@settings(max_examples=40, deadline=None)
@given(
    share=st.floats(0.05, 1),
    group_tokens=st.sampled_from([3, 8, 16]),
    old_group_tokens=st.sampled_from([1, 5, 16]),
    chunks=st.integers(1, 7),
)
def test_groups_move_on_whole(share, group_tokens, old_group_tokens, chunks):
    """Fewer than a group's tokens stay longer than they should, or wait to be coded again."""
    policy = compose([marked(OLD, old_group_tokens), Age(marked(NEW, group_tokens), share)])
    for exist, kinds in watch(policy, zeros(GEOMETRY, chunks)):
        border = exist - max(1, round(share * exist))
        waiting = group_tokens - 1 + old_group_tokens - 1
        for token, kind in enumerate(kinds):
            if token >= border:
                assert kind in (0, NEW)  # 0: waits for its group to fill
            elif token < min(border, len(kinds)) - waiting:
                assert kind in (OLD, NEW + OLD)


def test_tokens_too_many_for_the_newest_tier_are_coded_once():
    """A chunk larger than the share splits at once: its older part never sees ``newest``."""
    policy = compose([marked(OLD), Age(marked(NEW), 0.3)])
    *_, (exist, kinds) = watch(policy, zeros(GEOMETRY, 1))
    newest = round(0.3 * exist)
    assert kinds == [OLD] * (exist - newest) + [NEW] * newest


def test_demotion_codes_twice_and_no_more():
    policy = compose([marked(OLD), Age(marked(NEW), 0.5)])
    *_, (_, kinds) = watch(policy, zeros(GEOMETRY, 8))
    assert kinds == sorted(kinds, key=lambda kind: kind == NEW)
    assert set(kinds[:21]) == {OLD}
    assert NEW + OLD in kinds
    assert set(kinds) == {OLD, NEW + OLD, NEW}


def sym(x, bits):
    """SYM(bits): whole blocks of 16 tokens, the rest unchanged."""
    qmax, whole = 2 ** (bits - 1) - 1, x.shape[1] // 16 * 16
    blocks = x[:, :whole].unflatten(1, (-1, 16))
    scale = (blocks.abs().amax(2, keepdim=True) / qmax).clamp(min=1e-8)
    codes = (blocks / scale).round().clamp(-qmax, qmax)
    coded = (codes.float() * scale.half().float()).to(x.dtype).flatten(1, 2)
    return torch.cat([coded, x[:, whole:]], dim=1)


def two_tiers(chunks, share, old_bits):
    """K or V of each chunk, in order; what is kept of all of them at the end."""
    new, old = chunks[0][:, :0], chunks[0][:, :0]  # as they entered their tier
    for chunk in chunks:
        exist = old.shape[1] + new.shape[1] + chunk.shape[1]
        newest = max(1, round(share * exist))
        excess = max(0, new.shape[1] + chunk.shape[1] - newest)
        leaving = new.shape[1] if excess >= new.shape[1] else excess // 16 * 16
        direct = excess - leaving if leaving == new.shape[1] else 0
        old = torch.cat([old, sym(new, 4)[:, :leaving], chunk[:, :direct]], dim=1)
        new = torch.cat([new[:, leaving:], chunk[:, direct:]], dim=1)
    return torch.cat([sym(old, old_bits), sym(new, 4)], dim=1)


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("chunks", [1, 2, 5, 9])
@pytest.mark.parametrize(("method", "old_bits"), [("AGE_TIER_INT2", 2), ("AGE_TIER_INT4", 4)])
def test_content_is_two_queues_of_rtn(method, old_bits, chunks, batch):
    inputs = Inputs.make(evolve(GEOMETRY, batch=batch), chunks=chunks)
    session = open_session(build_registry().policy(method), inputs)
    for chunk in range(chunks):
        for step in inputs.steps(chunk):
            run_pass(session, inputs, step)
    content = session.layers[0].materialise(inputs.tokens)
    size = GEOMETRY.tokens_per_chunk
    for have, clean in ((content.k, inputs.k[0]), (content.v, inputs.v[0])):
        assert torch.equal(have, two_tiers(clean.split(size, dim=1), 0.3, old_bits))


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("window", [None, 2, 5])
def test_attention_is_dense_over_the_content_within_the_window(batch, window):
    geometry = evolve(GEOMETRY, batch=batch, window_frames=window, sink_frames=window == 5)
    policy = build_registry().policy("rtn(bits=2)+age(share=0.4, newest=rtn(bits=4))")
    inputs = Inputs.make(geometry)
    session = open_session(policy, inputs)
    for chunk in range(inputs.chunks):
        for step in inputs.steps(chunk):
            q, k, v = inputs.at(0, step)
            (out,) = run_pass(session, inputs, step)
            if step.is_context:  # its write demotes: what was read is gone
                continue
            content = session.layers[0].materialise(step.start)
            seen = torch.cat([readable_tokens(step), torch.ones(k.shape[1], dtype=torch.bool)])
            expected = dense_attention(
                q,
                torch.cat([content.k, k], dim=1),
                torch.cat([content.v, v], dim=1),
                seen[:, None].expand(-1, geometry.heads),
            )
            torch.testing.assert_close(out.float(), expected, atol=0.05, rtol=0.02)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("share=0", "share must be a fraction in (0, 1]; got 0"),
        ("share=1.1", "share must be a fraction in (0, 1]; got 1.1"),
        ("share='a'", "share must be a fraction in (0, 1]; got 'a'"),
        ("share=True", "share must be a fraction in (0, 1]; got True"),
    ],
)
def test_bad_shares_are_one_sentence(arguments, message):
    with pytest.raises(KvbenchError) as caught:
        build_registry().policy(f"rtn(bits=2)+age(newest=rtn(bits=4), {arguments})")
    assert str(caught.value) == f"age: {message}"


def test_the_newest_tier_has_a_codec():
    with pytest.raises(KvbenchError, match=r"age: newest must be a codec such as rtn\(bits=4\)"):
        build_registry().policy("rtn(bits=2)+age(newest=4)")


@pytest.mark.parametrize(
    ("expression", "codings"),
    [("rtn(4)+age(rtn(4))", 2), ("rtn(2)+age(bf16())", 1), ("bf16()+age(rtn(4))", 2)],
)
def test_promise(expression, codings):
    promise = build_registry().policy(expression).promise()
    assert promise.codings == codings
    assert promise.error_bound.relative < 1


def test_coding_to_15_levels_and_then_3_promises_no_bound():
    """Each may err by almost the largest element of its group: together they promise nothing."""
    assert build_registry().policy("AGE_TIER_INT2").promise().error_bound is None
