"""``window()`` on random rollouts: the same attention, bounded bytes, known sizes."""

from __future__ import annotations

import pytest
import torch
from attrs import evolve, frozen
from broken.base import SummaryCache
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import pad

from kvbench_core.cache import DenseCache, ErrorBound, KVCodec, QueueCache, TensorCodec, Tier
from kvbench_core.cache.codec import DensePlanes
from kvbench_core.conformance.inputs import Inputs
from kvbench_core.conformance.oracle import readable_tokens
from kvbench_core.conformance.rollout import Played, open_session, play, run_pass, same
from kvbench_core.errors import CacheError, ExpressionError
from kvbench_core.geometry import CacheGeometry
from kvbench_core.integration import integrate
from kvbench_core.parts import Window
from kvbench_core.policy import Composition, Promise, Tiering
from kvbench_core.registry import build_registry
from kvbench_core.specs import PartSpec, PolicySpec

REGISTRY = build_registry()
METHODS = [name for name in REGISTRY.all(PolicySpec) if REGISTRY.policy(name).retention is None]
TIERINGS = {
    "recent": "recent(blocks={blocks})",
    "age": "age(share={share}, newest={other})",
    "hybrid": "hybrid(newest={other}, newest_share={share})",
    "prune": "prune(newest={other}, newest_share={share}, score='published')",
    "soft_prune": "soft_prune(newest={other}, newest_share={share})",
    "spatial": "spatial(foreground={other})",
}
CODECS = [
    text
    for name, text in {
        "bf16": "bf16()",
        "rtn": "rtn(bits=4)",
        "kivi": "kivi(bits=2)",
        "quarot": "quarot(inner=rtn(bits=2))",
        "qaq": "qaq(bits=4, threshold=3.0)",
    }.items()
    if (PartSpec, name) in REGISTRY.entries
]


@st.composite
def methods(draw) -> str:
    """A registered method, or codecs and a tiering put together at random."""
    if draw(st.booleans()):
        return draw(st.sampled_from(METHODS))
    tierings = [text for name, text in TIERINGS.items() if (PartSpec, name) in REGISTRY.entries]
    tiering = draw(st.sampled_from(tierings)).format(
        other=draw(st.sampled_from(CODECS)),
        share=draw(st.sampled_from([0.1, 0.4, 0.9])),
        blocks=draw(st.integers(1, 4)),
    )
    return f"{draw(st.sampled_from(CODECS))}+{tiering}"


@st.composite
def geometries(draw) -> CacheGeometry:
    """Any batch, chunk, sink and window; frames of 16 tokens or of no multiple of that."""
    chunk, sink = draw(st.integers(1, 3)), draw(st.integers(0, 2))
    return CacheGeometry(
        layers=1,
        heads=2,
        head_dim=32,
        grid=draw(st.sampled_from([(4, 4), (3, 6), (3, 13)])),
        chunk_frames=chunk,
        window_frames=chunk + sink + draw(st.integers(0, 4)),
        sink_frames=sink,
        batch=draw(st.integers(1, 2)),
    )


@settings(deadline=None, max_examples=50)
@given(methods(), geometries(), st.integers(0, 999))
def test_attention_is_the_same_and_bytes_are_bounded(method, geometry, seed):
    chunks = 2 + 3 * -(-geometry.window_frames // geometry.chunk_frames)
    inputs = evolve(Inputs.telling(geometry, chunks=chunks, seed=seed), passes=2)
    policy = REGISTRY.policy(f"{method}+window()")
    whole, windowed = play(REGISTRY.policy(method), inputs), play(policy, inputs)
    _check_same(inputs, whole, windowed)
    assert all(a >= b for a, b in zip(whole.stored_bytes, windowed.stored_bytes, strict=True))
    if policy.promise().fixed_bytes:
        slack = 2 * (16 + 16 + 15)  # in each tier a group cut at either end, and what waits for one
        tokens = geometry.window_frames * geometry.tokens_per_frame + slack
        assert max(windowed.stored_bytes) <= tokens * geometry.token_bytes


def _check_same(inputs: Inputs, whole: Played, windowed: Played) -> None:
    """Equal attention, and equal content wherever it is shown, which is wherever it is readable."""
    for one, other in zip(whole.outputs, windowed.outputs, strict=True):
        assert all(same(a, b) for a, b in zip(one, other, strict=True))
    for chunk, ((a,), (b,)) in enumerate(zip(whole.contents, windowed.contents, strict=True)):
        *_, step = inputs.steps(chunk)
        seen = b.present[None, :, :, None]
        assert same(a.k * seen, b.k)
        assert same(a.v * seen, b.v)
        readable = readable_tokens(step)[:, None]
        before = slice(0, step.start)
        assert torch.equal(a.present[before] & readable, b.present[before] & readable)


@frozen
class Coarse(TensorCodec):
    """Sevenths of the largest value in a group: every token of it matters to all the others."""

    group_tokens: int

    def encode(self, x):
        groups = pad(x.float(), (0, 0, 0, 0, 0, -x.shape[1] % self.group_tokens))
        groups = groups.unflatten(1, (-1, self.group_tokens))
        step = groups.abs().amax(2, keepdim=True).clamp(min=1e-6) / 7
        return DensePlanes(((groups / step).round() * step).bfloat16())

    def decode(self, planes, out):
        out.copy_(planes.values.flatten(1, 2)[:, : out.shape[1]])

    def error_bound(self):
        return ErrorBound(relative=1.0)


def pair(groups: tuple[int, int]) -> KVCodec:
    key, value = groups
    return KVCodec(key=Coarse(key), value=Coarse(value))


@frozen
class Tiers(Tiering):
    """A share of the tokens for each codec, newest first."""

    tiers: tuple[tuple[float, tuple[int, int]], ...]

    def layer_cache(self, codec, layer, context):
        tiers = [Tier(pair(groups), self.capacity(share)) for share, groups in self.tiers]
        return QueueCache(layer, context, tiers, last=codec)

    def capacity(self, share):
        return lambda total: round(share * total)

    def promise(self, codec):
        return Promise()


group_sizes = st.tuples(*[st.sampled_from([1, 2, 3, 5, 8, 16])] * 2)


@settings(deadline=None, max_examples=60)
@given(
    geometries(),
    st.lists(st.tuples(st.sampled_from([0.1, 0.3, 0.6]), group_sizes), max_size=3),
    group_sizes,
)
def test_what_moves_on_still_has_its_neighbours(geometry, tiers, last):
    inputs = evolve(Inputs.telling(geometry, chunks=16), passes=2)
    whole = Composition(codec=pair(last), tiering=Tiers(tuple(tiers)))
    _check_same(inputs, play(whole, inputs), play(evolve(whole, retention=Window()), inputs))


@given(geometries(), st.integers(0, 9))
@settings(deadline=None, max_examples=40)
def test_bf16_holds_what_is_readable_and_not_a_byte_more(geometry, chunk):
    session = open_session(REGISTRY.policy("BF16_WINDOW"), Inputs.make(geometry, chunks=1))
    inputs = Inputs.make(geometry, chunks=chunk + 1)
    for index in range(chunk + 1):
        for step in inputs.steps(index):
            run_pass(session, inputs, step)
            tokens = int(readable_tokens(step).sum()) + geometry.tokens_per_chunk
            assert session.stored_bytes() == tokens * geometry.token_bytes


@pytest.mark.parametrize("sink", [0, 1, 3])
def test_a_codec_keeps_the_window_and_the_groups_at_its_edges(sink):
    if (PartSpec, "rtn") not in REGISTRY.entries:
        pytest.skip("kvbench-rtn is not installed")
    geometry = CacheGeometry(
        layers=1, heads=2, head_dim=32, grid=(3, 8), window_frames=7 + sink, sink_frames=sink
    )
    inputs = Inputs.make(geometry, chunks=9)
    stored = play(REGISTRY.policy("RTN_INT4+window()"), inputs).stored_bytes
    for chunk in range(5, 9):
        stop = 72 * (chunk + 1)
        first, last = -(-24 * sink // 16), (stop - 7 * 24) // 16
        groups = stop // 16 - last + first
        waiting = stop % 16
        coded = 2 * 2 * 32 * (8 + 2)  # K and V: 16 codes of 4 bits and a bf16 scale per channel
        assert stored[chunk] == groups * coded + waiting * geometry.token_bytes


def test_without_a_window_nothing_is_forgotten():
    geometry = CacheGeometry(layers=1, heads=2, head_dim=32, grid=(3, 8))
    inputs = Inputs.make(geometry)
    one, other = (play(REGISTRY.policy(name), inputs) for name in ("BF16", "BF16_WINDOW"))
    assert one.stored_bytes == other.stored_bytes


# Refusals


@frozen
class Means(Tiering):
    def layer_cache(self, codec, layer, context):
        return SummaryCache(layer, context)

    def promise(self, codec):
        return Promise()


def test_a_cache_that_cannot_forget_is_refused_by_name_before_it_starts():
    policy = Composition(tiering=Means(), retention=Window())
    with pytest.raises(CacheError, match="SummaryCache cannot forget, so window"):
        open_session(policy, Inputs.make(chunks=1))


def test_reconstruct_is_refused():
    with pytest.raises(ExpressionError, match=r"window\(\) frees .* leave one of the two out"):
        integrate(REGISTRY.policy("BF16_WINDOW"), "reconstruct")


def test_two_windows_are_refused():
    with pytest.raises(ExpressionError, match="a method takes one retention"):
        REGISTRY.policy("BF16_WINDOW+window()")


def test_a_buffer_closes_a_gap_of_any_width():
    geometry = CacheGeometry(layers=1, heads=1, head_dim=1, grid=(1, 1), chunk_frames=20)
    inputs = Inputs.make(geometry, chunks=1)
    for start in range(20):
        for stop in range(start, 20):
            session = open_session(Composition(), inputs)
            *_, step = inputs.steps(0)
            (_,) = run_pass(session, inputs, step)
            (cache,) = session.layers
            assert isinstance(cache, DenseCache)
            cache.forget(start, stop)
            content = cache.materialise(20)
            expected = inputs.k[0].clone()
            expected[:, start:stop] = 0
            assert torch.equal(content.k, expected)
            assert (~content.present).sum() == stop - start
