"""Clause P24: what nothing can read any more may go, and nothing else changes."""

from __future__ import annotations

import pytest
from attrs import evolve, frozen

from kvbench_core.cache import CacheContext, LayerCache, WindowCache
from kvbench_core.conformance.base import Conformance
from kvbench_core.conformance.inputs import WIDE, WINDOWS, Inputs
from kvbench_core.conformance.rollout import open_session, play, same
from kvbench_core.errors import CacheError
from kvbench_core.geometry import CacheGeometry
from kvbench_core.policy import Policy, Promise

CHUNKS = 8
"""Two to eight times as long as the windows."""

GROWTH = 0.25
"""How much of the growth without ``window()`` may remain. A cache that frees keys and keeps values
has 0.5; tokens that change tiers within the window, and groups that are cut, need up to 0.2."""


class WindowClauses(Conformance):
    """What ``window()`` does to a method."""

    @pytest.mark.parametrize(
        "geometry", WINDOWS, ids=lambda g: f"{g.window_frames}-{g.sink_frames}"
    )
    def test_p24_forgetting_changes_nothing_that_is_read(
        self, policy: Policy, geometry: CacheGeometry
    ) -> None:
        inputs = Inputs.telling(geometry, chunks=CHUNKS)
        whole, windowed = play(policy, inputs), play(_windowed(policy, inputs), inputs)
        for index, (one, other) in enumerate(zip(whole.outputs, windowed.outputs, strict=True)):
            for a, b in zip(one, other, strict=True):
                assert same(a, b), (
                    "P24: window() frees only what nothing reads any more, and what is kept stays "
                    "as it is; it changed the attention of chunk "
                    f"{index // inputs.passes}, pass {index % inputs.passes}"
                )
        for chunk, layers in enumerate(zip(whole.contents, windowed.contents, strict=True)):
            for before, left in zip(*layers, strict=True):
                present = left.present[None, :, :, None]
                assert same(before.k * present, left.k), _changed("keys", chunk)
                assert same(before.v * present, left.v), _changed("values", chunk)

    def test_p24_stored_bytes_stop_growing(self, policy: Policy) -> None:
        if not policy.promise().fixed_bytes:
            pytest.skip("the stored bytes depend on the values (Promise.fixed_bytes)")
        geometry = evolve(WIDE, layers=1, window_frames=4, sink_frames=1)
        inputs = Inputs.make(geometry, chunks=2 * CHUNKS)
        windowed = play(_windowed(policy, inputs), inputs).stored_bytes
        whole = play(policy, inputs).stored_bytes
        grown, allowed = (stored[-1] - stored[CHUNKS - 1] for stored in (windowed, whole))
        assert grown <= GROWTH * allowed, (
            f"P24: with window() a cache stops growing; from chunk {CHUNKS} to chunk "
            f"{2 * CHUNKS} it grew by {grown} bytes, and without window() by {allowed}"
        )


@frozen
class _Windowed(Policy):
    """Any policy as ``window()`` changes it."""

    whole: Policy

    def layer_cache(self, layer: int, context: CacheContext) -> LayerCache:
        return WindowCache(self.whole.layer_cache(layer, context))

    def promise(self) -> Promise:
        return evolve(self.whole.promise(), keeps_all=False)


def _windowed(policy: Policy, inputs: Inputs) -> Policy:
    if policy.retention is not None:
        pytest.skip("the method forgets already")
    windowed = _Windowed(policy)
    try:
        open_session(windowed, inputs)
    except CacheError as refusal:
        pytest.skip(f"the method does without window(): {refusal}")
    return windowed


def _changed(what: str, chunk: int) -> str:
    return f"P24: window() changes no token that stays; after chunk {chunk} it changed {what}"
