"""The cache interface against plain lists of tokens, on random rollouts."""

from __future__ import annotations

from collections import deque
from functools import partial

import pytest
import torch
from attrs import evolve, frozen
from hypothesis import given, settings
from hypothesis import strategies as st

from kvbench_core.cache import (
    BF16,
    CacheContext,
    ErrorBound,
    KVCodec,
    Planes,
    QueueCache,
    SegmentedCache,
    SummarySegment,
    TensorCodec,
    Tier,
    TokenStore,
    ZeroSegment,
    held_bytes,
)
from kvbench_core.conformance.oracle import dense_attention, readable_tokens
from kvbench_core.errors import CacheError, UnknownNameError
from kvbench_core.geometry import CacheGeometry, Step
from kvbench_core.integration import integrate
from kvbench_core.plugins import Plugin, Plugins, load_plugins
from kvbench_core.policy import Composition
from kvbench_core.registry import build_registry
from kvbench_core.session import CacheSession
from kvbench_core.specs import PartSpec, PolicySpec

HEADS, DIM = 2, 4
TOKENS = CacheGeometry(layers=1, heads=HEADS, head_dim=DIM, grid=(1, 1), chunk_frames=1)


@frozen(eq=False)
class Rows(Planes):
    first: torch.Tensor
    offsets: torch.Tensor


@frozen
class Delta(TensorCodec):
    """Lossless for small whole numbers: the group's first token, and what the others add to it."""

    group_tokens: int

    def encode(self, x):
        missing = -x.shape[1] % self.group_tokens
        x = torch.cat([x, x[:, :1].expand(-1, missing, -1, -1)], dim=1)
        groups = x.unflatten(1, (-1, self.group_tokens))
        first = groups[:, :, 0].clone()
        return Rows(first, groups - first.unsqueeze(2))

    def decode(self, planes, out):
        tokens = (planes.offsets + planes.first.unsqueeze(2)).flatten(1, 2)
        out.copy_(tokens[:, : out.shape[1]])

    def error_bound(self):
        return ErrorBound(relative=0.0)


def numbered(start: int, stop: int, add: int = 0) -> torch.Tensor:
    """Tokens that carry their number, float32 so that all are exact."""
    column = torch.arange(start, stop, dtype=torch.float32) + add
    return column[None, :, None, None].expand(1, -1, HEADS, DIM).contiguous()


group_sizes = st.sampled_from([1, 2, 3, 4, 6, 16])
some = settings(deadline=None, max_examples=60)


def forgotten(store: TokenStore) -> int:
    return store.tokens - sum(stop - start for start, stop in store.gap.outside(store.tokens))


@some
@given(
    groups=st.tuples(group_sizes, group_sizes),
    actions=st.lists(st.tuples(st.sampled_from("adfr"), st.integers(0, 40)), max_size=12),
    data=st.data(),
)
def test_a_store_is_a_queue_of_tokens(groups, actions, data):
    store = TokenStore(KVCodec(key=Delta(groups[0]), value=Delta(groups[1])))
    first = last = begun = ended = 0
    for action, size in [*actions, ("r", 0)]:
        if action == "a" and size:
            store.append(numbered(last, last + size), numbered(last, last + size, add=500))
            last += size
        elif action == "d":
            leaving = store.movable(size)
            assert leaving <= size
            assert leaving == last - first or leaving % store.codec.group_tokens == 0
            store.drop_front(leaving)
            first += leaving
        elif action == "f":
            begun = begun if begun < ended else first + size % 7
            ended = max(ended, begun + size)
            store.forget(begun - first, ended - first)
            inside = min(ended - first, store.coded_tokens) - max(begun - first, 0)
            assert inside - forgotten(store) < 2 * store.codec.group_tokens
        assert store.tokens == last - first
        assert store.tokens - store.coded_tokens < store.codec.group_tokens
        held = store.gap.outside(store.tokens)
        assert forgotten(store) <= max(0, min(ended, last) - max(begun, first))
        assert forgotten(store) % store.codec.group_tokens == 0
        if held:
            run = data.draw(st.sampled_from(held))
            start = data.draw(st.integers(run[0], run[1] - 1))
            stop = data.draw(st.integers(start + 1, run[1]))
            k, v = torch.full((2, 1, stop - start, HEADS, DIM), -1.0)
            store.read(start, stop, k, v)
            assert torch.equal(k, numbered(first + start, first + stop))
            assert torch.equal(v, numbered(first + start, first + stop, add=500))


def context(geometry: CacheGeometry) -> CacheContext:
    return CacheContext(geometry=geometry, device=torch.device("cpu"), dtype=torch.float32)


def step(geometry: CacheGeometry, chunk: int, index: int = 0, is_context: bool = True) -> Step:
    return Step(
        geometry=geometry,
        chunk=chunk,
        denoise_index=index,
        is_context=is_context,
        start_frame=chunk * geometry.chunk_frames,
        frames=geometry.chunk_frames,
    )


@some
@given(
    sizes=st.lists(group_sizes, min_size=1, max_size=4),
    capacities=st.lists(st.integers(0, 50), min_size=3, max_size=3),
    share=st.booleans(),
    chunk_frames=st.integers(1, 20),
    chunks=st.integers(1, 8),
)
def test_a_queue_keeps_every_token_once_and_in_order(
    sizes, capacities, share, chunk_frames, chunks
):
    geometry = evolve(TOKENS, chunk_frames=chunk_frames)
    codecs = [KVCodec(key=Delta(size), value=Delta(size)) for size in sizes]
    limits = [
        (lambda n, c=capacity: n * c // 100) if share else (lambda n, c=capacity: c)
        for capacity in capacities
    ]
    tiers = [Tier(codec, limit) for codec, limit in zip(codecs[:-1], limits, strict=False)]
    cache = QueueCache(0, context(geometry), tiers, last=codecs[-1])
    for chunk in range(chunks):
        now = step(geometry, chunk)
        cache.begin_chunk(now)
        for store, tier in zip(cache._stores, tiers, strict=False):
            coming = chunk_frames if store is cache._stores[0] else 0
            spare = tier.codec.group_tokens - 1
            room = max(0, tier.capacity(now.stop) - coming)
            assert store.tokens <= room + spare
        cache.write(numbered(now.start, now.stop), numbered(now.start, now.stop, add=500), now)
        content = cache.materialise(now.stop)
        assert content.present.all()
        assert torch.equal(content.k, numbered(0, now.stop))
        assert torch.equal(content.v, numbered(0, now.stop, add=500))


@some
@given(
    chunk_frames=st.integers(1, 4),
    window=st.none() | st.integers(1, 12),
    sink=st.integers(0, 6),
    chunk=st.integers(0, 9),
)
def test_visible_ranges_are_sink_and_window_even_when_both_are_odd(
    chunk_frames, window, sink, chunk
):
    geometry = evolve(TOKENS, chunk_frames=chunk_frames, window_frames=window, sink_frames=sink)
    now = step(geometry, chunk)
    ranges = now.visible_history()
    tokens = [t for start, stop in ranges for t in range(start, stop)]
    assert tokens == sorted(set(tokens))
    assert tokens == readable_tokens(now).nonzero().flatten().tolist()


class Mixed(SegmentedCache):
    """Each chunk is kept in a way of its own: plain, for one head, as zeros, as a mean."""

    def __init__(self, context: CacheContext, ways: list[str]) -> None:
        super().__init__(0, context)
        self.ways = ways
        self.kept = []

    def write(self, k, v, step):
        span = {"start": step.start, "stop": step.stop, "multiplicity": step.stop - step.start}
        mean = {"k": k.mean(1, keepdim=True), "v": v.mean(1, keepdim=True), "origin": step.start}
        exact = {**span, "multiplicity": 1, "k": k.clone(), "v": v.clone(), "origin": step.start}
        self.kept += {
            "plain": [SummarySegment(**exact)],
            "mean": [SummarySegment(**span, **mean)],
            "zero": [ZeroSegment(**span)],
            "gone": [],
            "first head": [
                evolve(SummarySegment(**exact), k=k[:, :, :1], v=v[:, :, :1], heads=(0,))
            ],
            "split": [
                evolve(SummarySegment(**exact), k=k[:, :, :1], v=v[:, :, :1], heads=(0,)),
                evolve(
                    SummarySegment(**span, **mean),
                    k=mean["k"][:, :, 1:],
                    v=mean["v"][:, :, 1:],
                    heads=(1,),
                ),
            ],
        }[self.ways[step.chunk % len(self.ways)]]

    def segments(self):
        return self.kept


@some
@given(
    ways=st.lists(
        st.sampled_from(["plain", "mean", "zero", "gone", "first head", "split"]),
        min_size=1,
        max_size=5,
    ),
    window=st.none() | st.sampled_from([3, 6, 9]),
    sink=st.sampled_from([0, 3]),
    scale=st.sampled_from([0.3, 3.0]),
    seed=st.integers(0, 999),
)
def test_attention_over_any_mixture_equals_dense_attention_over_its_content(
    ways, window, sink, scale, seed
):
    geometry = CacheGeometry(
        layers=1,
        heads=HEADS,
        head_dim=DIM,
        grid=(1, 2),
        window_frames=None if window is None else window + sink,
        sink_frames=0 if window is None else sink,
    )
    random = torch.Generator().manual_seed(seed)
    cache = Mixed(context(geometry), ways)
    for chunk in range(5):
        now = step(geometry, chunk)
        q, k, v = scale * torch.randn(3, 1, 6, HEADS, DIM, generator=random)
        content = cache.materialise(now.start)
        out = cache.attend(q, k, v, now)
        seen = content.present & readable_tokens(now)[:, None]
        expected = dense_attention(
            q,
            torch.cat([content.k, k], dim=1),
            torch.cat([content.v, v], dim=1),
            torch.cat([seen, torch.ones(6, HEADS, dtype=torch.bool)]),
        )
        torch.testing.assert_close(out, expected, atol=2e-5, rtol=1e-4)


def test_a_summary_is_never_cut():
    mean = torch.ones(1, 2, HEADS, DIM)
    segment = SummarySegment(start=0, stop=20, multiplicity=10, k=mean, v=mean, origin=0)
    assert segment.within(10, 30).keys == 1
    assert segment.within(20, 30) is None
    with pytest.raises(
        CacheError, match=r"summary of 10 tokens .* cannot be cut to tokens 0 to 15"
    ):
        segment.within(0, 15)


# The ledger


class Ring:
    __slots__ = ("rows",)

    def __init__(self, rows: deque) -> None:
        self.rows = rows


def in_a_closure(tensor):
    return lambda: tensor


@pytest.mark.parametrize(
    "hide",
    [
        lambda t: deque([t]),
        lambda t: Ring(deque([{"t": (t,)}])),
        lambda t: partial(torch.add, t),
        lambda t: partial(torch.add, other=t),
        in_a_closure,
        lambda t: lambda default=t: default,
        lambda t: {t: 1},
        lambda t: t[:, :1],
    ],
    ids=["deque", "slots", "partial", "keyword", "closure", "default", "key", "view"],
)
def test_the_ledger_finds_memory_wherever_it_is(hide):
    assert held_bytes(hide(torch.zeros(3, 5))) == 60


def test_what_layers_share_counts_once_and_the_blackboard_counts():
    geometry = evolve(TOKENS, layers=3)
    session = CacheSession(Composition(), geometry)
    table = torch.zeros(8)
    for layer in session.layers:
        layer.table = table
    assert session.stored_bytes() == 32
    session.context.shared["index"] = torch.zeros(2)
    assert session.stored_bytes() == 40


# The session


def test_a_rollout_begins_with_its_first_chunk():
    session = CacheSession(Composition(), TOKENS)
    with pytest.raises(CacheError, match="a rollout begins with chunk 0"):
        session.begin_pass(step(TOKENS, 2))


def test_a_batch_of_another_size_is_refused():
    session = CacheSession(Composition(codec=BF16), TOKENS)
    session.begin_pass(step(TOKENS, 0))
    two = torch.zeros(2, 1, HEADS, DIM)
    with pytest.raises(CacheError, match=r"layer 0 sent q \(2, 1, 2, 4\)"):
        session.attend(0, two, two, two)


def test_an_unknown_integration_is_refused():
    with pytest.raises(UnknownNameError, match="no integration is called 'fussed'"):
        integrate(Composition(), "fussed")


# Expressions


def inner_codec(inner: object = None, blocks: int = 1) -> object:
    """A part with a part inside."""
    from kvbench_core.parts import Recent

    assert isinstance(inner, Recent)
    return inner


def test_a_part_inside_a_presets_argument_keeps_its_arguments():
    specs = (
        PartSpec(name="outer", kind="tiering", summary="x", target=f"{__name__}:inner_codec"),
        PolicySpec(name="OUTER", family="X", summary="x", expression="outer(inner=recent(1))"),
    )
    plugins = Plugins((*load_plugins([]).loaded, Plugin("x", "x", "1", specs)), ())
    registry = build_registry(plugins)
    (term,) = registry.expand("OUTER(inner=recent(7))")
    assert str(term) == "outer(inner=recent(blocks=7))"
