"""Clauses P13 to P17: what a rollout depends on, and what it leaves behind: nothing."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from itertools import zip_longest

import pytest
import torch
from attrs import evolve
from torch import Tensor

from kvbench_core.conformance.base import Conformance
from kvbench_core.conformance.inputs import PLAIN, WIDE, Inputs, channel_offset
from kvbench_core.conformance.rollout import (
    Played,
    difference,
    global_seed,
    open_session,
    play,
    playing,
    run_pass,
)
from kvbench_core.errors import CacheError
from kvbench_core.policy import Policy
from kvbench_core.session import CacheSession


class StateClauses(Conformance):
    """Determinism, leaks and bad values."""

    def test_p13_equal_rollouts_are_equal(self, policy: Policy) -> None:
        played = []
        for seed in (1, 2):
            with global_seed(seed):
                played.append(play(policy, Inputs.make()))
        found = difference(*played)
        assert found is None, (
            f"P13: equal inputs give equal results whatever the global random seed is; {found}"
        )

    def test_p13_global_random_generators_are_left_alone(self, policy: Policy) -> None:
        with global_seed(3) as untouched:
            play(policy, Inputs.make())
            assert untouched(), (
                "P13: a method that needs randomness has a generator of its own; the global one "
                "was used, which changes the noise that the video is made from"
            )

    def test_p14_a_rollout_leaves_nothing_behind(self, policy: Policy) -> None:
        small, large = _two_prompts()
        first, others, again = play(policy, small), play(policy, large), play(policy, small)
        found = difference(first, again) or difference(others, play(policy, large))
        assert found is None, f"P14: a new session starts empty; after another prompt {found}"

    def test_p14_a_policy_object_holds_no_state(self, policy: Policy) -> None:
        unused = copy.deepcopy(policy)
        small, large = _two_prompts()
        play(policy, large)
        found = difference(play(unused, small), play(policy, small))
        assert found is None, (
            f"P14: all state is in the session; with a policy object that was used before {found}"
        )

    def test_p14_two_sessions_at_once_do_not_meet(self, policy: Policy) -> None:
        prompts = _two_prompts()
        alone = [play(policy, inputs) for inputs in prompts]
        together = [Played(), Played()]
        turns: list[Iterator[None]] = [
            playing(open_session(policy, inputs), inputs, played)
            for inputs, played in zip(prompts, together, strict=True)
        ]
        for _ in zip_longest(*turns):
            pass
        for one, other in zip(alone, together, strict=True):
            found = difference(one, other)
            assert found is None, f"P14: sessions are independent; side by side {found}"

    def test_p15_layers_do_not_meet(self, policy: Policy) -> None:
        if not policy.promise().independent_layers:
            pytest.skip("layers share what they learn (Promise.independent_layers)")
        inputs = Inputs.make(evolve(PLAIN, layers=3))
        other = Inputs.make(evolve(PLAIN, layers=3), seed=7, distribution=channel_offset)
        plain = play(policy, inputs)
        for changed in range(3):
            touched = play(policy, inputs.with_layer(changed, other))
            found = difference(_without(plain, changed), _without(touched, changed))
            assert found is None, (
                f"P15: layers are independent; with other K and V in layer {changed}, {found}"
            )

    @pytest.mark.parametrize("failure", ["NaN", "shape"])
    def test_p16_a_failed_rollout_does_not_spoil_the_next(
        self, policy: Policy, failure: str
    ) -> None:
        inputs = Inputs.make()
        expected = play(policy, inputs)
        session = open_session(policy, inputs)
        run_chunk(session, inputs, 0)
        if failure == "NaN":
            with pytest.raises(CacheError):
                run_chunk(session, _poisoned(inputs, "k", float("nan")), 1)
        else:
            step = next(inputs.steps(1))
            session.begin_pass(step)
            with pytest.raises(CacheError):
                session.attend(0, *(x[:, :5] for x in inputs.at(0, step)))
        found = difference(expected, play(policy, inputs))
        assert found is None, f"P16: after a rollout that failed, a new one is sound; {found}"

    @pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
    @pytest.mark.parametrize("which", ["k", "v"])
    def test_p17_values_that_are_not_finite_are_refused(
        self, policy: Policy, which: str, value: float
    ) -> None:
        inputs = Inputs.make()
        session = open_session(policy, inputs)
        run_chunk(session, inputs, 0)
        said = "nothing"
        try:
            run_chunk(session, _poisoned(inputs, which, value), 1)
        except CacheError as error:
            said = str(error)
        assert re.search(r"layer 1\b.*chunk 1\b", said), (
            f"P17: {value} in layer 1, chunk 1 is refused with a CacheError that names both; it "
            f"says {said}"
        )
        content = session.layers[1].materialise(PLAIN.tokens_per_chunk)
        assert torch.isfinite(content.k).all(), "P17: what was refused is not stored"
        assert torch.isfinite(content.v).all(), "P17: what was refused is not stored"

    def test_p23_skipping_depends_on_the_rollout_alone(self, policy: Policy) -> None:
        reuse = policy.reuse()
        if reuse is None:
            pytest.skip("the method skips no passes")
        inputs = Inputs.make(WIDE)
        answers = []
        for _ in range(2):
            state = reuse.new_state()
            answers.append(
                [
                    state.should_skip(step, inputs.at(0, step)[0].flatten(2))
                    for chunk in range(inputs.chunks)
                    for step in inputs.steps(chunk)
                    if not step.is_context
                ]
            )
        assert all(isinstance(answer, bool) for answer in answers[0]), (
            f"P23: should_skip answers True or False; got {answers[0]}"
        )
        assert answers[0] == answers[1], (
            f"P23: fresh states give equal answers to equal features; got {answers}"
        )


def run_chunk(session: CacheSession, inputs: Inputs, chunk: int) -> None:
    """All passes over one chunk."""
    for step in inputs.steps(chunk):
        run_pass(session, inputs, step)


def _two_prompts() -> tuple[Inputs, Inputs]:
    """Two rollouts of different length, scale and offset."""
    geometry = evolve(PLAIN, layers=1)
    return (
        Inputs.make(geometry, seed=1, chunks=4),
        Inputs.make(geometry, seed=2, chunks=6, distribution=channel_offset),
    )


def _without(played: Played, layer: int) -> Played:
    """The rollout without one layer, and without the sum over layers."""

    return Played(
        outputs=[[*layers[:layer], *layers[layer + 1 :]] for layers in played.outputs],
        contents=[[*layers[:layer], *layers[layer + 1 :]] for layers in played.contents],
    )


def _poisoned(inputs: Inputs, which: str, value: float) -> Inputs:
    """One element of chunk 1 in layer 1 is not finite."""

    def spoilt(layers: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        bad = layers[1].clone()
        bad[0, PLAIN.tokens_per_chunk + 5, 1, 3] = value
        return (layers[0], bad, *layers[2:])

    return (
        evolve(inputs, k=spoilt(inputs.k)) if which == "k" else evolve(inputs, v=spoilt(inputs.v))
    )
