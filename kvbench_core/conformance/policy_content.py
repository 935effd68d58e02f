"""Clauses P8 to P12: what is kept of the tokens."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import pytest
import torch
from attrs import evolve
from torch import Tensor

from kvbench_core.cache import ErrorBound, Materialised
from kvbench_core.conformance.base import Conformance
from kvbench_core.conformance.inputs import DISTRIBUTIONS, PLAIN, WIDE, Inputs, Shape, gaussian
from kvbench_core.conformance.rollout import open_session, play, run_pass, same
from kvbench_core.geometry import CacheGeometry
from kvbench_core.policy import Policy
from kvbench_core.session import CacheSession

SLACK = 1.001
"""Bounds are computed in reals and errors in floats."""

FRAMES = 12


class ContentClauses(Conformance):
    """What ``materialise`` shows, held against ``promise()``."""

    @pytest.mark.parametrize("geometry", [PLAIN, WIDE], ids=["plain", "wide"])
    def test_p8_content_is_shaped_like_the_rollout(
        self, policy: Policy, geometry: CacheGeometry
    ) -> None:
        inputs = Inputs.make(geometry)
        session = open_session(policy, inputs)
        play(policy, inputs, session)
        for layer in session.layers:
            content = layer.materialise(inputs.tokens)
            for name, got, expected in (
                ("k", content.k, inputs.k[0]),
                ("v", content.v, inputs.v[0]),
            ):
                assert (got.shape, got.dtype) == (expected.shape, expected.dtype), (
                    f"P8: materialise({inputs.tokens}).{name} is {expected.dtype} "
                    f"{tuple(expected.shape)}; got {got.dtype} {tuple(got.shape)}"
                )
            _check_presence(content, (inputs.tokens, geometry.heads))

    @pytest.mark.parametrize("frames", [1, 4, 9])
    def test_p8_content_of_fewer_tokens_is_a_prefix(self, policy: Policy, frames: int) -> None:
        inputs = Inputs.make(evolve(PLAIN, layers=1))
        session = open_session(policy, inputs)
        play(policy, inputs, session)
        tokens = frames * PLAIN.tokens_per_frame
        whole = session.layers[0].materialise(inputs.tokens)
        part = session.layers[0].materialise(tokens)
        assert same(part.k, whole.k[:, :tokens]), "P8: materialise(n) shows the first n tokens"
        assert same(part.v, whole.v[:, :tokens]), "P8: materialise(n) shows the first n tokens"
        assert torch.equal(part.present, whole.present[:tokens]), (
            "P8: materialise(n) shows the first n tokens"
        )

    def test_p9_the_bound_promises_something(self, policy: Policy) -> None:
        bound = policy.promise().error_bound
        if bound is None:
            pytest.skip("content is dropped or summarised: no error bound")
        assert 0 <= bound.relative < 1, (
            "P9: a relative error of 1 or more promises nothing, since a cache of zeros keeps "
            f"it; got {bound.relative}"
        )
        assert bound.peak < 1, (
            "P9: an error of every element as large as the largest one promises nothing; got "
            f"peak {bound.peak}"
        )
        typical = 1.0
        assert bound.absolute < typical, (
            f"P9: an absolute error of {bound.absolute} promises nothing about values of size 1"
        )

    @pytest.mark.parametrize("distribution", DISTRIBUTIONS, ids=lambda d: d.__name__)
    def test_p9_error_stays_within_the_bound(self, policy: Policy, distribution: Shape) -> None:
        bound = policy.promise().error_bound
        inputs = Inputs.make(distribution=distribution)
        last = play(policy, inputs).contents[-1]
        for layer, content in enumerate(last):
            for name, got, exact in _pairs(content, inputs, layer):
                assert torch.isfinite(got).all(), (
                    f"P9: what is kept is finite; {name} of {distribution.__name__} inputs is not"
                )
                if bound is not None and exact.abs().max() <= bound.largest:
                    _check_bound(bound, name, got, exact, distribution.__name__)

    @pytest.mark.parametrize("chunk_frames", [1, 2, 3, 6])
    def test_p9_chunked_appends_keep_what_one_append_keeps(
        self, policy: Policy, chunk_frames: int
    ) -> None:
        promise = policy.promise()
        inputs = Inputs.make(evolve(PLAIN, layers=1, chunk_frames=FRAMES), chunks=1)
        (at_once,) = play(policy, inputs).contents[-1]
        cut = evolve(
            inputs,
            geometry=evolve(inputs.geometry, chunk_frames=chunk_frames),
            chunks=FRAMES // chunk_frames,
        )
        (piece_by_piece,) = play(policy, cut).contents[-1]
        what = f"{FRAMES} frames in chunks of {chunk_frames}"
        if promise.error_bound is not None:
            for name, got, exact in _pairs(piece_by_piece, cut, 0):
                _check_bound(promise.error_bound, name, got, exact, what)
        if promise.chunk_invariant:
            both = zip(_pairs(at_once, inputs, 0), _pairs(piece_by_piece, cut, 0), strict=True)
            for (name, one, exact), (_, other, _) in both:
                waits = (one == exact).all(-1) | (other == exact).all(-1)
                assert ((one == other).all(-1) | waits).all(), (
                    f"P9: a coded token's value does not depend on chunks; {name} of {what} "
                    "differs from one append of them all"
                )

    def test_p10_the_newest_chunks_are_exact(self, policy: Policy) -> None:
        exact_chunks = policy.promise().exact_chunks
        inputs = Inputs.make(chunks=exact_chunks + 3)
        session = open_session(policy, inputs)
        for chunk, moment, layer, content in _watching(session, inputs):
            kept = exact_chunks if moment == "after" else exact_chunks - 1
            finished = chunk + (moment == "after")
            first = max(0, finished - kept) * PLAIN.tokens_per_chunk
            for name, got, exact in _pairs(content, inputs, layer, first=first):
                assert same(got, exact), (
                    f"P10: the newest {exact_chunks} chunks, the one being generated included, "
                    f"are kept as they are; {moment} chunk {chunk} an older {name} was changed"
                )

    def test_p11_every_token_stays_visible(self, policy: Policy) -> None:
        if not policy.promise().keeps_all:
            pytest.skip("the method drops tokens (Promise.keeps_all)")
        inputs = Inputs.make()
        session = open_session(policy, inputs)
        for chunk, moment, _, content in _watching(session, inputs):
            assert content.present.all(), (
                f"P11: every head sees every token; {moment} chunk {chunk} "
                f"{int((~content.present).sum())} are missing"
            )

    @pytest.mark.parametrize("distribution", [gaussian, DISTRIBUTIONS[1]], ids=lambda d: d.__name__)
    def test_p12_history_is_coded_once(self, policy: Policy, distribution: Shape) -> None:
        codings = policy.promise().codings
        if codings is None:
            pytest.skip("stored content is rewritten (Promise.codings)")
        inputs = Inputs.make(evolve(PLAIN, layers=1), chunks=8, distribution=distribution)
        session = open_session(policy, inputs)
        last = torch.stack([inputs.k[0], inputs.v[0]])
        changes = torch.zeros(inputs.tokens, dtype=torch.long)
        for _, _, _, content in _watching(session, inputs):
            now = torch.stack([content.k, content.v])
            tokens = now.shape[2]
            changed = (now != last[:, :, :tokens]).flatten(3).any(-1).any(0).any(0)
            changes[:tokens] += changed
            last[:, :, :tokens] = now
        most = int(changes.max())
        assert most <= codings, (
            f"P12: a token is coded at most {codings} times; one has changed {most} times, so "
            "history is coded again"
        )


Moment = Literal["during", "after"]


def _watching(
    session: CacheSession, inputs: Inputs
) -> Iterator[tuple[int, Moment, int, Materialised]]:
    """Each layer's content of all finished chunks, while a chunk is generated and after it."""
    for chunk in range(inputs.chunks):
        for step in inputs.steps(chunk):
            run_pass(session, inputs, step)
            moment: Moment = "after" if step.is_context else "during"
            tokens = step.stop if step.is_context else step.start
            if tokens:
                for index, layer in enumerate(session.layers):
                    yield chunk, moment, index, layer.materialise(tokens)


def _pairs(
    content: Materialised, inputs: Inputs, layer: int, first: int = 0
) -> list[tuple[str, Tensor, Tensor]]:
    """Name, kept and original of K and V over the content's tokens from ``first`` on."""
    stop = content.k.shape[1]
    return [
        ("K", content.k[:, first:], inputs.k[layer][:, first:stop]),
        ("V", content.v[:, first:], inputs.v[layer][:, first:stop]),
    ]


def _check_bound(bound: ErrorBound, name: str, got: Tensor, exact: Tensor, what: str) -> None:
    error = (got.double() - exact.double()).norm().item()
    size = exact.double().norm().item()
    largest = exact.double().abs().max().item()
    allowed = bound.relative * size + (bound.absolute + bound.peak * largest) * exact.numel() ** 0.5
    assert error <= SLACK * allowed, (
        f"P9: {name} is kept within the promised error, {allowed:.3g} here "
        f"({bound}); for {what} it is {error:.3g}, {error / size if size else 1:.1%} of {name}"
    )


def _check_presence(content: Materialised, shape: tuple[int, int]) -> None:
    assert (content.present.shape, content.present.dtype) == (shape, torch.bool), (
        f"P8: present is a boolean [token, head] {shape}; got {tuple(content.present.shape)}"
    )
    gone = ~content.present[None, :, :, None]
    assert not ((content.k != 0) | (content.v != 0)).logical_and(gone).any(), (
        "P8: keys and values of a token that a head no longer sees are shown as zero"
    )
