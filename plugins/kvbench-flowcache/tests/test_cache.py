"""The frame cache against dense attention over what is left of each frame, written out."""

from __future__ import annotations

import math
from collections import defaultdict

import pytest
import torch
from attrs import evolve, frozen

from kvbench_core.cache import ErrorBound, KVCodec, Planes, TensorCodec
from kvbench_core.geometry import CacheGeometry, Step
from kvbench_core.policy import Composition
from kvbench_core.registry import build_registry
from kvbench_core.session import CacheSession
from kvbench_flowcache.plan import Level
from kvbench_flowcache.tiering import Adaptive, Drop, Hybrid, Prune, SoftPrune

CHUNKS = 7
# 24 tokens a frame: its last group of 16 is not full.
GEOMETRY = CacheGeometry(layers=3, heads=2, head_dim=8, grid=(4, 6), chunk_frames=3)
WINDOW = evolve(GEOMETRY, window_frames=12)
TWO_VIDEOS = evolve(WINDOW, batch=2, layers=1)
SINK = evolve(GEOMETRY, window_frames=9, sink_frames=1, layers=1)


def step(geometry, chunk, index=0, is_context=True):
    return Step(
        geometry=geometry,
        chunk=chunk,
        denoise_index=index,
        is_context=is_context,
        start_frame=geometry.chunk_frames * chunk,
        frames=geometry.chunk_frames,
    )


def chunks(geometry, seed=0):
    """q, k, v of each layer, chunk by chunk; V has a mean, so weight in the wrong place shows."""
    generator = torch.Generator().manual_seed(seed)
    tokens = geometry.tokens_per_chunk
    shape = (geometry.layers, 3, geometry.batch, tokens, geometry.heads, geometry.head_dim)
    for chunk in range(CHUNKS):
        x = torch.randn(shape, generator=generator)
        x[:, 2] += 1 + chunk
        yield x


def rtn(x, bits):
    """One frame ``[batch, token, head, dim]`` by groups of 16 tokens, decoded."""
    qmax = 2 ** (bits - 1) - 1
    groups = []
    for group in x.split(16, dim=1):
        scale = (group.abs().amax(1, keepdim=True) / qmax).clamp(min=1e-8)
        groups.append((group / scale).round() * scale.half().float())
    return torch.cat(groups, 1)


class Oracle:
    """One layer: frames as a list of decoded tensors, by the rules of the data sheet."""

    def __init__(self, part, scale, bits):
        self.part, self.scale, self.bits = part, scale, bits
        self.frames = []

    def sizes(self, n):
        part = self.part
        newest = min(n, max(1, round(min(part.newest_share * self.scale, 1) * n)))
        old = n - newest
        share = getattr(part, "important_share", None)
        important = 0 if share is None else min(old, max(1, round(share * self.scale * old)))
        rest = old - important
        share = getattr(part, "retained_share", None)
        retained = rest if share is None else min(rest, max(1, round(share * self.scale * rest)))
        return newest, important, retained

    def write(self, k, v):
        tokens = GEOMETRY.tokens_per_frame
        for one_k, one_v in zip(k.split(tokens, 1), v.split(tokens, 1), strict=True):
            self.frames.append({"k": one_k, "v": one_v, "bits": None})
        newest, important, retained = self.sizes(len(self.frames))
        for age, frame in enumerate(reversed(self.frames)):
            if age < newest + important:
                self.code(frame, self.bits[0 if age < newest else 1])
            elif age < newest + important + retained:
                self.code(frame, self.bits[2])
            elif frame["bits"] != "pruned":
                self.prune(frame)

    @staticmethod
    def code(frame, bits):
        if frame["bits"] != bits:
            frame.update(k=rtn(frame["k"], bits), v=rtn(frame["v"], bits), bits=bits)

    def prune(self, frame):
        summarise = {
            "prune": torch.zeros_like,
            "soft_prune": lambda x: x.mean(1, keepdim=True).expand_as(x),
            "drop": lambda x: x[:, :0],
        }[self.part.name]
        frame.update(k=summarise(frame["k"]), v=summarise(frame["v"]), bits="pruned")

    def read(self, geometry, chunk):
        """K and V of the frames that the next chunk may read."""
        end = (chunk + 1) * geometry.chunk_frames
        window = geometry.window_frames or end
        newest = end - window + geometry.sink_frames
        seen = [
            frame
            for index, frame in enumerate(self.frames)
            if index < geometry.sink_frames or index >= newest
        ]
        return [frame["k"] for frame in seen], [frame["v"] for frame in seen]


def attention(q, k, v):
    weights = torch.einsum("bqhd,bkhd->bhqk", q.double(), k.double()) / math.sqrt(q.shape[-1])
    return torch.einsum("bhqk,bkhd->bqhd", weights.softmax(-1), v.double())


def open_session(tiering, geometry, bits=4, **options):
    policy = build_registry().policy(f"rtn(bits={bits})")
    policy = evolve(policy, tiering=tiering)
    return CacheSession(policy, geometry, dtype=torch.float32, **options)


NEWEST, IMPORTANT = (build_registry().policy(f"rtn(bits={bits})").codec for bits in (8, 4))
PARTS = {
    "hybrid": (Hybrid(NEWEST), (8, 8, 2)),
    "adaptive": (Adaptive(NEWEST, important=IMPORTANT), (8, 4, 2)),
    "prune": (Prune(NEWEST, important=IMPORTANT, layer_budgets="moviegen"), (8, 4, 2)),
    "soft_prune": (SoftPrune(NEWEST, important=NEWEST, layer_budgets="ramp"), (8, 8, 2)),
    "drop": (Drop(retained_share=0.2), (2, 2, 2)),
    "all pruned": (SoftPrune(newest_share=0.01, retained_share=0.01), (2, 2, 2)),
}


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("geometry", [GEOMETRY, WINDOW, TWO_VIDEOS], ids=["all", "window", "two"])
def test_attention_is_dense_attention_over_what_is_left(part, geometry):
    tiering, bits = PARTS[part]
    session = open_session(tiering, geometry, bits[2], kernel="reference")
    oracles = [
        Oracle(tiering, tiering._scales.at(layer, geometry.layers), bits)
        for layer in range(geometry.layers)
    ]
    for chunk, layers in enumerate(chunks(geometry)):
        session.begin_pass(step(geometry, chunk))
        for layer, (q, k, v) in enumerate(layers):
            have = session.attend(layer, q, k, v)
            keys, values = oracles[layer].read(geometry, chunk)
            want = attention(q, torch.cat([*keys, k], 1), torch.cat([*values, v], 1))
            torch.testing.assert_close(have.double(), want, atol=2e-5, rtol=2e-5)
            oracles[layer].write(k, v)


def test_the_sink_outlives_the_middle():
    session = open_session(Drop(retained_share=0.3), SINK)
    run(session, SINK)
    levels = session.layers[0]._levels
    assert levels[0] is Level.IMPORTANT
    assert levels[1] is Level.PRUNED


def run(session, geometry, seed=0):
    for chunk, layers in enumerate(chunks(geometry, seed)):
        session.begin_pass(step(geometry, chunk))
        yielded = [session.attend(layer, *qkv) for layer, qkv in enumerate(layers)]
    return yielded


def test_frames_that_stay_keep_their_codes():
    session = open_session(PARTS["prune"][0], GEOMETRY, bits=2)
    coded, moves = defaultdict(dict), 0
    for chunk, layers in enumerate(chunks(GEOMETRY)):
        session.begin_pass(step(GEOMETRY, chunk))
        for layer, qkv in enumerate(layers):
            session.attend(layer, *qkv)
            now = {}
            for store in session.layers[layer]._stores():
                for slot, frame in enumerate(store.frames):
                    planes = store._rows(slice(slot, slot + 1))
                    tensors = [t.clone() for plane in planes for t in plane.tensors()]
                    now[frame] = (store.codec, tensors)
            for frame, (codec, tensors) in now.items():
                before = coded[layer].get(frame)
                if before is not None and before[0] == codec:
                    assert all(torch.equal(a, b) for a, b in zip(before[1], tensors, strict=True))
                    moves += 1
            coded[layer] = now
    assert moves > 50


def test_frames_outside_the_window_are_not_read():
    def last(spoil):
        session = open_session(Hybrid(NEWEST), WINDOW, bits=2)
        for chunk, layers in enumerate(chunks(WINDOW)):
            if spoil and chunk == CHUNKS - 1:  # reads frames 9..17
                for store in session.layers[0]._stores():
                    beyond = [slot for slot, frame in enumerate(store.frames) if frame in spoil]
                    for planes in store._planes:
                        planes.scale[beyond] = float("nan")
            session.begin_pass(step(WINDOW, chunk))
            out = session.attend(0, *layers[0])
        return out

    assert torch.equal(last(None), last(range(9)))
    assert not torch.equal(last(None), last([9]))


def test_plans_differ_from_layer_to_layer():
    session = open_session(PARTS["prune"][0], GEOMETRY, bits=2)
    run(session, GEOMETRY)
    plans = {tuple(layer._levels) for layer in session.layers}
    assert len(plans) > 1
    assert len({layer.stored_bytes() for layer in session.layers}) > 1


def test_all_passes_read_the_same_history():
    session = open_session(PARTS["soft_prune"][0], GEOMETRY, bits=2)
    for chunk, layers in enumerate(chunks(GEOMETRY)):
        outputs = []
        for index in range(3):
            session.begin_pass(step(GEOMETRY, chunk, index, is_context=index == 2))
            outputs.append(session.attend(0, *layers[0]))
        assert torch.equal(outputs[0], outputs[1])
        assert torch.equal(outputs[0], outputs[2])


@frozen
class Halves(TensorCodec):
    """A codec of nobody's: fp16."""

    def encode(self, x):
        return HalfPlanes(x.half())

    def decode(self, planes, out):
        out.copy_(planes.halves[:, : out.shape[1]])

    def error_bound(self):
        return ErrorBound(relative=2**-10)


@frozen(eq=False)
class HalfPlanes(Planes):
    halves: torch.Tensor


@pytest.mark.parametrize("part", [Hybrid, Adaptive, Prune, SoftPrune, Drop])
def test_any_codec_gets_tiers_and_pruning(part):
    codec = KVCodec(key=Halves(), value=Halves())
    tiering = part(newest=NEWEST)
    policy = Composition(codec=codec, tiering=tiering)
    session = CacheSession(policy, GEOMETRY, dtype=torch.float32)
    run(session, GEOMETRY)
    content = session.layers[0].materialise(CHUNKS * GEOMETRY.tokens_per_chunk)
    exact = torch.cat([layers[0, 1] for layers in chunks(GEOMETRY)], 1)
    sizes = tiering.shares().sizes(3 * CHUNKS, 1.0)
    kept = 24 * sum(sizes.values())
    assert torch.isfinite(content.k).all()
    torch.testing.assert_close(content.k[:, -kept:], exact[:, -kept:], atol=0.02, rtol=0.01)
    other = Composition(codec=codec, tiering=evolve(tiering, newest=codec))
    assert policy.promise().codings == 1 + other.promise().codings


def test_planning_without_memory():
    for part, (tiering, bits) in PARTS.items():
        real = open_session(tiering, TWO_VIDEOS, bits[2])
        planned = open_session(tiering, TWO_VIDEOS, bits[2], device="meta")
        for chunk, layers in enumerate(chunks(TWO_VIDEOS)):
            for session in (real, planned):
                session.begin_pass(step(TWO_VIDEOS, chunk))
                session.attend(0, *layers[0].to(session.context.device))
            assert real.stored_bytes() == planned.stored_bytes(), part


def test_a_policy_starts_each_rollout_afresh():
    policy = build_registry().policy("FLOWCACHE_PRUNE_INT2(score='published')")
    first, second = (
        run(CacheSession(policy, GEOMETRY, dtype=torch.float32), GEOMETRY) for _ in range(2)
    )
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
