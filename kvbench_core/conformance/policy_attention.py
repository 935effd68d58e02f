"""Clauses P1, P2, P5 to P7: what ``attend`` returns, reads and leaves alone."""

from __future__ import annotations

import pytest
import torch
from attrs import evolve
from torch import Tensor

from kvbench_core.cache import Materialised
from kvbench_core.conformance.base import Conformance
from kvbench_core.conformance.inputs import PLAIN, WIDE, WINDOWS, Inputs
from kvbench_core.conformance.oracle import (
    dense_attention,
    memory,
    reachable_tensors,
    readable_tokens,
)
from kvbench_core.conformance.rollout import open_session, play, run_pass, same
from kvbench_core.geometry import CacheGeometry, Step
from kvbench_core.policy import Policy

ROUNDING = 0.02
"""Relative error (2-norm) that bf16 attention may have against float32."""


class AttentionClauses(Conformance):
    """What a layer's ``attend`` does."""

    @pytest.mark.parametrize("geometry", [PLAIN, WIDE], ids=["plain", "wide"])
    def test_p1_output_is_shaped_like_the_queries(
        self, policy: Policy, geometry: CacheGeometry
    ) -> None:
        inputs = Inputs.make(geometry)
        outputs = play(policy, inputs).outputs
        q = inputs.at(0, next(inputs.steps(0)))[0]
        for out in (out for layers in outputs for out in layers):
            got, expected = (out.shape, out.dtype, out.device), (q.shape, q.dtype, q.device)
            assert got == expected, (
                f"P1: attend returns a tensor like q, {expected}; it returned {got}"
            )

    def test_p1_output_belongs_to_the_caller(self, policy: Policy) -> None:
        inputs = Inputs.make()
        session = open_session(policy, inputs)
        returned: list[tuple[Tensor, Tensor]] = []
        for chunk in range(3):
            for step in inputs.steps(chunk):
                outs = run_pass(session, inputs, step)
                returned += [(out, out.clone()) for out in outs]
        assert all(same(out, then) for out, then in returned), (
            "P1: what attend returned stays as it was; a later call wrote into it"
        )

    def test_p2_queries_keys_and_values_are_not_changed(self, policy: Policy) -> None:
        for step, sent, kept, _ in _sending(policy):
            for name, tensor, copy in zip("qkv", sent, kept, strict=True):
                assert same(tensor, copy), (
                    f"P2: {name} belongs to the caller; the pass {step.denoise_index} over chunk "
                    f"{step.chunk} changed it"
                )

    def test_p2_queries_keys_and_values_are_not_kept(self, policy: Policy) -> None:
        for step, sent, _, held in _sending(policy):
            for name, tensor in zip("qkv", sent, strict=True):
                assert not memory([tensor]).keys() & held, (
                    f"P2: the cache copies what it keeps; after pass {step.denoise_index} over "
                    f"chunk {step.chunk} it still holds the caller's {name}"
                )

    @pytest.mark.parametrize("integration", ["streaming", "reconstruct"])
    @pytest.mark.parametrize("geometry", [PLAIN, WIDE], ids=["plain", "wide"])
    def test_p5_attention_is_dense_attention_over_the_content(
        self, attached: Policy, geometry: CacheGeometry
    ) -> None:
        _check_attention(attached, Inputs.telling(geometry), "P5")

    @pytest.mark.parametrize("integration", ["streaming", "reconstruct"])
    @pytest.mark.parametrize(
        "geometry", WINDOWS, ids=lambda g: f"{g.window_frames}-{g.sink_frames}"
    )
    def test_p6_attention_reads_the_sink_and_the_window_and_nothing_else(
        self, attached: Policy, geometry: CacheGeometry
    ) -> None:
        _check_attention(attached, Inputs.telling(geometry), "P6")

    @pytest.mark.parametrize("integration", ["reconstruct"])
    def test_p19_the_first_chunk_is_the_same_in_both_integrations(
        self, policy: Policy, attached: Policy
    ) -> None:
        inputs = Inputs.make()
        streamed, rebuilt = play(policy, inputs).outputs, play(attached, inputs).outputs
        for one, other in zip(streamed[: inputs.passes], rebuilt, strict=False):
            for a, b in zip(one, other, strict=True):
                error = (a.float() - b.float()).norm() / a.float().norm()
                assert error <= ROUNDING, (
                    "P19: the first chunk has no history, so reconstructing it changes nothing; "
                    f"its attention is off by {error:.1%}"
                )

    def test_p7_noisy_passes_leave_no_trace(self, policy: Policy) -> None:
        quiet, noisy = Inputs.make(), Inputs.make()
        noisy = evolve(noisy, noise=100 * noisy.noise.flip(1))
        one, other = play(policy, quiet), play(policy, noisy)
        for chunk, (mine, yours) in enumerate(zip(one.contents, other.contents, strict=True)):
            for a, b in zip(mine, yours, strict=True):
                assert same(a.k, b.k), _trace("keys", chunk)
                assert same(a.v, b.v), _trace("values", chunk)
        clean = range(quiet.passes - 1, len(one.outputs), quiet.passes)
        for index in clean:
            for mine_out, your_out in zip(one.outputs[index], other.outputs[index], strict=True):
                assert same(mine_out, your_out), _trace("attention", index // quiet.passes)
        assert one.stored_bytes == other.stored_bytes, _trace("stored bytes", quiet.chunks)

    def test_p7_passes_over_a_chunk_read_the_same_history(self, policy: Policy) -> None:
        inputs = Inputs.make()
        inputs = evolve(inputs, noise=torch.zeros_like(inputs.noise))
        outputs = play(policy, inputs).outputs
        for first in range(0, len(outputs), inputs.passes):
            for later in outputs[first + 1 : first + inputs.passes]:
                for a, b in zip(outputs[first], later, strict=True):
                    assert same(a, b), (
                        "P7: all passes over a chunk read the same history; in chunk "
                        f"{first // inputs.passes} equal passes gave different attention"
                    )


def _trace(what: str, chunk: int) -> str:
    return (
        "P7: only the clean pass decides what later chunks read; other keys and values on the "
        f"noisy passes changed the {what} by chunk {chunk}"
    )


Sent = tuple[Step, tuple[Tensor, ...], tuple[Tensor, ...], set[object]]


def _sending(policy: Policy) -> list[Sent]:
    """Each pass of a short rollout: what was sent, copies of it, and the memory held afterwards."""
    inputs = Inputs.make(evolve(PLAIN, layers=1))
    session = open_session(policy, inputs)
    passes: list[Sent] = []
    for chunk in range(3):
        for step in inputs.steps(chunk):
            sent = inputs.at(0, step)
            copies = tuple(x.clone() for x in sent)
            session.begin_pass(step)
            session.attend(0, *sent)
            held = memory(reachable_tensors([session, policy]))
            passes.append((step, sent, copies, set(held)))
    return passes


def _check_attention(policy: Policy, inputs: Inputs, clause: str) -> None:
    """Compare each pass after a chunk's first one with dense attention over the content before it.

    A first pass may demote or merge before it reads, so what it reads cannot be seen beforehand.
    """
    session = open_session(policy, inputs)
    for chunk in range(inputs.chunks):
        for step in inputs.steps(chunk):
            before = [
                None if step.denoise_index == 0 else layer.materialise(step.start)
                for layer in session.layers
            ]
            outputs = run_pass(session, inputs, step)
            for layer, (content, out) in enumerate(zip(before, outputs, strict=True)):
                if content is None:
                    continue
                expected = _expected(content, inputs.at(layer, step), step)
                error = (out.float() - expected).norm() / expected.norm()
                assert error <= ROUNDING, (
                    f"{clause}: attention is softmax attention over the chunk's own K and V and "
                    "over what materialise() shows inside the sink and the window; layer "
                    f"{layer}, chunk {chunk}, pass {step.denoise_index} is off by {error:.1%}"
                )


def _expected(content: Materialised, sent: tuple[Tensor, ...], step: Step) -> Tensor:
    q, k, v = sent
    heads = q.shape[2]
    own = torch.ones(k.shape[1], heads, dtype=torch.bool)
    seen = content.present[: step.start] & readable_tokens(step)[:, None]
    return dense_attention(
        q,
        torch.cat([content.k[:, : step.start], k], dim=1),
        torch.cat([content.v[:, : step.start], v], dim=1),
        torch.cat([seen, own]),
    )
