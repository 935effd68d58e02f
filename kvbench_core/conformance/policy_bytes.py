"""Clauses P3, P4 and P18: bytes are measured, really stored, and known in advance."""

from __future__ import annotations

import gc

import pytest
from attrs import evolve

from kvbench_core.conformance.base import Conformance
from kvbench_core.conformance.inputs import PLAIN, WIDE, Inputs, spread
from kvbench_core.conformance.oracle import idle_bytes, living_tensors, memory, reachable_tensors
from kvbench_core.conformance.rollout import open_session, play, run_pass
from kvbench_core.geometry import CacheGeometry
from kvbench_core.policy import Policy

IDLE = 0.25
"""The share of stored bits that may carry nothing. Plain bf16 has an eighth: the second and third
bits of its exponent almost always agree."""


class BytesClauses(Conformance):
    """What ``stored_bytes`` says."""

    @pytest.mark.parametrize("integration", ["streaming", "reconstruct"])
    @pytest.mark.parametrize("geometry", [PLAIN, WIDE], ids=["plain", "wide"])
    def test_p3_stored_bytes_match_storage(self, attached: Policy, geometry: CacheGeometry) -> None:
        inputs = Inputs.make(geometry)
        session = open_session(attached, inputs)
        own = (session.context, session.context.scratch)
        for chunk in range(inputs.chunks):
            for step in inputs.steps(chunk):
                run_pass(session, inputs, step)
                for index, layer in enumerate(session.layers):
                    reported = layer.stored_bytes()
                    held = sum(memory(reachable_tensors([layer], skip=own)).values())
                    assert reported == held, (
                        "P3: stored_bytes() is what the cache really holds; layer "
                        f"{index} reports {reported} bytes after chunk {chunk} and holds {held}"
                    )

    def test_p3_nothing_is_held_elsewhere(self, policy: Policy) -> None:
        play(policy, Inputs.make(seed=1))  # tables that are made once for all rollouts exist now
        inputs = Inputs.make()
        before = living_tensors()
        old = memory(before)
        gc.freeze()  # the collector need not look through all that is there already again
        try:
            session = open_session(policy, inputs)
            for chunk in range(inputs.chunks):
                for step in inputs.steps(chunk):
                    run_pass(session, inputs, step)
            now = memory([*before, *living_tensors()])
        finally:
            gc.unfreeze()
        scratch = memory(reachable_tensors([session.context.scratch]))
        held = sum(size for key, size in now.items() if key not in old and key not in scratch)
        reported = session.stored_bytes()
        assert reported == held, (
            f"P3: what a rollout keeps, it keeps in its session; {reported} bytes are reported "
            f"and {held} bytes of tensors stayed alive in the process"
        )

    def test_p4_stored_bits_carry_information(self, policy: Policy) -> None:
        inputs = Inputs.make(evolve(PLAIN, layers=1), distribution=spread)
        session = open_session(policy, inputs)
        play(policy, inputs, session)
        own = (session.context, session.context.scratch)
        found = reachable_tensors(session.layers, skip=own)
        idle, stored = sum(idle_bytes(found).values()), sum(memory(found).values())
        assert idle <= IDLE * stored, (
            f"P4: codes are packed; {idle / stored:.0%} of the stored bits never change or repeat "
            f"other bits, and no more than {IDLE:.0%} may"
        )

    def test_p18_layers_that_are_alike_store_alike(self, policy: Policy) -> None:
        promise = policy.promise()
        if not (promise.layers_alike and promise.fixed_bytes):
            pytest.skip("layers get unequal shares (Promise.layers_alike, Promise.fixed_bytes)")
        inputs = Inputs.make(evolve(PLAIN, layers=4))
        session = open_session(policy, inputs)
        play(policy, inputs, session)
        stored = [layer.stored_bytes() for layer in session.layers]
        assert len(set(stored)) == 1, (
            f"P18: layers that are promised to be alike store equally much; got {stored}"
        )

    @pytest.mark.parametrize("geometry", [PLAIN, WIDE], ids=["plain", "wide"])
    def test_p18_bytes_are_known_without_memory(
        self, policy: Policy, geometry: CacheGeometry
    ) -> None:
        if not policy.promise().fixed_bytes:
            pytest.skip("the stored bytes depend on the values (Promise.fixed_bytes)")
        inputs = Inputs.make(geometry)
        real, planned = play(policy, inputs).stored_bytes, []
        session = open_session(policy, inputs, device="meta")
        try:
            for chunk in range(inputs.chunks):
                for step in inputs.steps(chunk):
                    run_pass(session, inputs, step)
                planned.append(session.stored_bytes())
        except RuntimeError as error:
            pytest.fail(f"P18: the meta device has shapes but no values; the method asks: {error}")
        assert planned == real, (
            "P18: a rollout on the meta device stores as many bytes as a real one; after each "
            f"chunk it plans {planned} and stores {real}"
        )
