"""A rollout's caches: order of passes, shapes, feature reuse, bad values."""

from __future__ import annotations

import pytest
import torch
from attrs import evolve, frozen

from kvbench_core.errors import CacheError
from kvbench_core.geometry import CacheGeometry, Step
from kvbench_core.policy import Composition, Reuse, ReuseState
from kvbench_core.session import CacheSession

GEOMETRY = CacheGeometry(layers=2, heads=2, head_dim=8, grid=(2, 4), chunk_frames=3)


def step(chunk: int, index: int = 0, is_context: bool = False) -> Step:
    return Step(
        geometry=GEOMETRY,
        chunk=chunk,
        denoise_index=index,
        is_context=is_context,
        start_frame=3 * chunk,
        frames=3,
    )


def qkv() -> torch.Tensor:
    return torch.randn(3, 1, 24, 2, 8)


def test_passes_out_of_order_are_refused():
    session = CacheSession(Composition(), GEOMETRY)
    session.begin_pass(step(0))
    with pytest.raises(CacheError, match="chunk 1 at token 24 cannot follow chunk 0"):
        session.begin_pass(step(1))
    session.begin_pass(step(0, 1, is_context=True))
    session.begin_pass(step(1))
    with pytest.raises(CacheError, match="passes run in order"):
        session.begin_pass(step(0))


def test_wrong_shapes_name_the_layer():
    session = CacheSession(Composition(), GEOMETRY)
    session.begin_pass(step(0))
    with pytest.raises(CacheError, match=r"layer 1 sent q \(1, 23, 2, 8\)"):
        session.attend(1, *qkv()[:, :, :23])


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("which", [1, 2])
def test_values_that_are_not_finite_are_not_stored(bad, which):
    session = CacheSession(Composition(), GEOMETRY)
    session.begin_pass(step(0, is_context=True))
    tensors = qkv()
    tensors[which, 0, 5, 1, 3] = bad
    with pytest.raises(CacheError, match="layer 0, chunk 0 holds NaN or infinity"):
        session.attend(0, *tensors)


@frozen
class EverySecond(Reuse):
    """Skips every second pass that it is asked about."""

    def new_state(self) -> ReuseState:
        return _EverySecondState()


class _EverySecondState(ReuseState):
    def __init__(self) -> None:
        self.asked = 0

    def should_skip(self, step: Step, feature: torch.Tensor) -> bool:
        self.asked += 1
        return self.asked % 2 == 0


def test_reuse_is_counted_and_never_asked_about_the_clean_pass():
    session = CacheSession(Composition(feature_reuse=EverySecond()), GEOMETRY)
    feature = torch.zeros(1, 24, 16)
    answers = [session.skip(step(0, i), feature) for i in range(1, 4)]
    assert answers == [False, True, False]
    assert not session.skip(step(0, 4, is_context=True), feature)
    assert session.skipped_passes == 1
    fresh = CacheSession(Composition(feature_reuse=EverySecond()), GEOMETRY)
    assert not fresh.skip(step(0, 1), feature)


def test_a_chunks_first_pass_is_shown_to_the_rule_and_never_skipped():
    session = CacheSession(Composition(feature_reuse=EverySecond()), GEOMETRY)
    feature = torch.zeros(1, 24, 16)
    assert [session.skip(step(0, i), feature) for i in range(3)] == [False, True, False]
    assert not session.skip(step(1, 0), feature), "the rule's yes does not count"
    assert session.skipped_passes == 1


def test_a_sink_that_lies_apart_from_the_window():
    """Garbage in the dropped middle changes nothing; in the sink it does."""
    geometry = evolve(GEOMETRY, window_frames=6, sink_frames=3)

    def last_chunk(spoilt_chunk: int | None) -> torch.Tensor:
        generator = torch.Generator().manual_seed(0)
        session = CacheSession(Composition(), geometry, dtype=torch.float32)
        for chunk in range(4):
            session.begin_pass(evolve(step(chunk, is_context=True), geometry=geometry))
            q, k, v = torch.randn(3, 1, 24, 2, 8, generator=generator)
            v = v + 9 if chunk == spoilt_chunk else v
            out = session.attend(0, q, k, v)
        return out

    plain = last_chunk(None)
    assert torch.equal(plain, last_chunk(1))
    assert not torch.equal(plain, last_chunk(0))
    assert torch.equal(plain, last_chunk(2))
    assert not torch.equal(plain, last_chunk(3))
