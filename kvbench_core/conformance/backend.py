"""The backend clauses (``docs/contract.md``, B1 to B10), on rollouts of two chunks."""

from __future__ import annotations

from collections import deque
from itertools import groupby
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch

from kvbench_core.backend import Backend, Generator
from kvbench_core.conformance.base import Conformance
from kvbench_core.conformance.rollout import global_seed
from kvbench_core.conformance.spies import Forgetful, Generated, generate
from kvbench_core.errors import BackendError
from kvbench_core.registry import build_registry


class BackendConformance(Conformance):
    """What a generator promises.

    Override ``backend`` (class scope) with one that has no registered name. A backend whose
    weights are not on this machine is checked as far as it goes without them.
    """

    overridable: ClassVar[frozenset[str]] = frozenset({"backend"})

    @pytest.fixture(scope="class")
    @classmethod
    def backend(cls, kvbench_backend: str) -> Backend:
        """The backend under test, weights not loaded."""
        return build_registry().backend(kvbench_backend)

    @pytest.fixture(scope="class")
    @classmethod
    def frames(cls, backend: Backend) -> int:
        """Two chunks."""
        return 2 * backend.geometry().chunk_frames

    @pytest.fixture(scope="class")
    @classmethod
    def generator(cls, backend: Backend, pytestconfig: pytest.Config) -> Generator:
        """The loaded generator."""
        device = torch.device(str(pytestconfig.getoption("kvbench_device")))
        try:
            return backend.load(device)
        except BackendError as error:
            pytest.skip(f"cannot be loaded here: {error}")

    @pytest.fixture(scope="class")
    @classmethod
    def generated(cls, backend: Backend, generator: Generator, frames: int) -> Generated:
        """One generation that several clauses look at."""
        return generate(generator, backend.geometry(), frames)

    def test_b1_what_it_says_before_loading_is_consistent(self, backend: Backend) -> None:
        geometry = backend.geometry()
        assert geometry.batch == 1, (
            f"B1: geometry() is for one video; its batch is {geometry.batch}"
        )
        assert geometry == backend.geometry(), "B1: geometry() always gives the same answer"
        assert backend.fps > 0, f"B1: fps is positive; got {backend.fps}"
        try:
            backend.check_frames(backend.default_frames)
        except BackendError as error:
            pytest.fail(f"B1: default_frames is a length that can be generated; {error}")
        assert backend.default_suite.strip(), "B1: default_suite names a suite"

    def test_b1_longer_rollouts_need_no_less(self, backend: Backend, frames: int) -> None:
        short, long = backend.resident_bytes(frames), backend.resident_bytes(2 * frames)
        assert short, "B1: resident_bytes() lists at least the weights"
        assert short.keys() == long.keys(), "B1: resident_bytes() has the same items at any length"
        for item, size in short.items():
            assert isinstance(size, int), f"B1: {item} is a whole number of bytes; got {size!r}"
            assert 0 <= size <= long[item], (
                f"B1: {item} does not shrink with length; {size} and {long[item]} bytes"
            )
        decoding = backend.decoding_bytes()
        assert isinstance(decoding, int) and decoding >= 0, (  # noqa: PT018 - one sentence
            f"B1: decoding_bytes() is a whole number of bytes; got {decoding!r}"
        )
        assert 0 < backend.video_frames(frames) < backend.video_frames(2 * frames), (
            "B1: more latent frames decode to more video frames"
        )

    def test_b2_lengths_that_cannot_be_generated_are_refused(self, backend: Backend) -> None:
        chunk = backend.geometry().chunk_frames
        impossible = [-chunk, 0, *([2 * chunk + 1, chunk - 1] if chunk > 1 else [])]
        for frames in impossible:
            try:
                backend.check_frames(frames)
            except BackendError as error:
                found = str(error)
            else:
                found = ""
            assert str(frames) in found, (
                f"B2: check_frames({frames}) raises a BackendError that names the number; "
                f"got {found or 'no error'}"
            )

    def test_b3_equal_prompts_and_seeds_give_equal_latents(
        self, backend: Backend, generator: Generator, frames: int, generated: Generated
    ) -> None:
        geometry = backend.geometry()
        other = generate(generator, geometry, frames, prompt="a blue square falls", seed=1)
        again = generate(generator, geometry, frames)
        assert torch.equal(again.latents, generated.latents), (
            "B3: the same prompt and seed give the same latents, whatever was generated between"
        )
        assert not torch.equal(other.latents, generated.latents), (
            "B3: another prompt and seed give other latents"
        )

    def test_b3_the_seed_alone_makes_a_difference(
        self, backend: Backend, generator: Generator, frames: int, generated: Generated
    ) -> None:
        other = generate(generator, backend.geometry(), frames, seed=1)
        assert not torch.equal(other.latents, generated.latents), "B3: noise follows from the seed"

    def test_b4_noise_does_not_depend_on_the_policy(
        self, backend: Backend, generator: Generator, frames: int, generated: Generated
    ) -> None:
        lossy = generate(generator, backend.geometry(), frames, policy=Forgetful())
        assert torch.equal(lossy.pieces[0], generated.pieces[0]), (
            "B4: the first chunk has no history, so it is the same with every policy"
        )
        assert not torch.equal(lossy.pieces[1], generated.pieces[1]), (
            "B4: later chunks read the session's cache; without any history they are the same"
        )

    def test_b5_each_finished_chunk_is_announced(
        self, backend: Backend, generated: Generated, frames: int
    ) -> None:
        chunk = backend.geometry().chunk_frames
        lengths = [len(piece) for piece in generated.pieces]
        assert lengths == [chunk] * (frames // chunk), (
            f"B5: on_chunk gets the {chunk} latent frames of each chunk; it got {lengths}"
        )
        assert len(generated.latents) == frames, (
            f"B5: generate returns {frames} latent frames; got {len(generated.latents)}"
        )
        assert torch.equal(torch.cat(generated.pieces), generated.latents), (
            "B5: the announced chunks make up what generate returns"
        )
        assert torch.isfinite(generated.latents).all(), "B5: latents are finite"

    def test_b6_one_clean_pass_ends_each_chunk(
        self, backend: Backend, generated: Generated, frames: int
    ) -> None:
        geometry = backend.geometry()
        chunks = [list(steps) for _, steps in groupby(generated.seen.steps, lambda s: s.chunk)]
        spans = [(steps[0].start_frame, steps[0].frames) for steps in chunks]
        expected = [
            (start, geometry.chunk_frames) for start in range(0, frames, geometry.chunk_frames)
        ]
        assert spans == expected, f"B6: chunks cover the rollout in order, {expected}; got {spans}"
        for steps in chunks:
            clean = [step.is_context for step in steps]
            assert clean == [False] * (len(steps) - 1) + [True], (
                f"B6: the last pass over chunk {steps[0].chunk}, and no other, is clean; {clean}"
            )
            order = [step.denoise_index for step in steps]
            assert order == list(range(len(steps))), f"B6: passes are counted from 0; got {order}"
            assert all(step.geometry == geometry for step in steps), (
                "B6: a step carries the backend's geometry"
            )

    def test_b6_each_layer_attends_once_in_each_pass(
        self, backend: Backend, generated: Generated, frames: int
    ) -> None:
        expected = list(range(backend.geometry().layers))
        for step, layers in zip(generated.seen.steps, generated.seen.layers, strict=True):
            assert layers == expected, (
                f"B6: all {len(expected)} layers attend once, in order; in pass "
                f"{step.denoise_index} over chunk {step.chunk} it was {layers}"
            )
        assert generated.seen.finite, "B6: queries, keys and values are finite"
        dense = backend.geometry().dense_bytes(frames)
        assert generated.stored_bytes == dense, (
            f"B6: a BF16 cache of {frames} latent frames has {dense} bytes; the session stores "
            f"{generated.stored_bytes}"
        )

    def test_b7_a_skipped_pass_calls_no_layer(
        self, backend: Backend, generator: Generator, frames: int, generated: Generated
    ) -> None:
        skipped = generate(generator, backend.geometry(), frames, skipping=True)
        asked = [(step.chunk, step.denoise_index) for step in skipped.seen.asked]
        noisy = [
            (step.chunk, step.denoise_index) for step in generated.seen.steps if not step.is_context
        ]
        assert asked == noisy, (
            "B7: skip is asked once before every noisy pass and never before a clean one, "
            f"{noisy}; it was asked before {asked}"
        )
        ran = {(step.chunk, step.denoise_index) for step in skipped.seen.steps}
        refused = {where for where in asked if where[1] == 2}
        assert not ran & refused, "B7: a pass that is skipped is not begun and calls no layer"
        assert torch.isfinite(skipped.latents).all(), "B7: latents are finite with skipped passes"

    def test_b7_features_stay_as_they_were_shown(self, generated: Generated) -> None:
        changed = [
            step.denoise_index
            for step, (feature, copy) in zip(
                generated.seen.asked, generated.seen.features, strict=True
            )
            if not torch.equal(feature, copy)
        ]
        assert not changed, (
            f"B7: a feature is not changed after skip was asked; those of passes {changed} were"
        )

    def test_b8_decoded_pieces_make_up_the_video(
        self, backend: Backend, generator: Generator, generated: Generated, frames: int
    ) -> None:
        pieces = list(generator.decode(generated.latents))
        for piece in pieces:
            shaped = piece.ndim == 4 and piece.shape[-1] == 3 and len(piece) > 0
            assert shaped, f"B8: a piece is [frame, height, width, 3]; got {tuple(piece.shape)}"
            kind = (piece.dtype, piece.device.type)
            assert kind == (torch.uint8, "cpu"), f"B8: a piece is uint8 on the CPU; got {kind}"
        total, expected = sum(map(len, pieces)), backend.video_frames(frames)
        assert total == expected, (
            f"B8: {frames} latent frames decode to video_frames({frames}) = {expected} frames; "
            f"got {total}"
        )
        assert len({piece.shape[1:] for piece in pieces}) == 1, "B8: all frames are of one size"

    def test_b8_frames_do_not_depend_on_the_pieces(
        self, backend: Backend, generator: Generator, generated: Generated
    ) -> None:
        decoder = generator.decoder()
        chunks = generated.latents.split(backend.geometry().chunk_frames)
        streamed = torch.cat([decoder(chunk) for chunk in chunks])
        assert torch.equal(streamed, torch.cat(list(generator.decode(generated.latents)))), (
            "B8: a decoder that is given a video's latents piece by piece makes the same frames"
        )

    def test_b9_global_random_generators_are_left_alone(
        self, backend: Backend, generator: Generator, frames: int, generated: Generated
    ) -> None:
        with global_seed(5) as untouched:
            again = generate(generator, backend.geometry(), frames)
            deque(generator.decode(again.latents), maxlen=0)
            assert untouched(), "B9: noise comes from a generator of the backend's own"
        assert torch.equal(again.latents, generated.latents), (
            "B9: latents do not depend on the global random seed"
        )

    def test_b10_choices_that_are_not_there_are_refused(self, backend: Backend) -> None:
        same = backend.configured()
        assert (same.geometry(), same.weights) == (backend.geometry(), backend.weights), (
            "B10: configured() without choices leaves the generator as it is"
        )
        nonsense = Path("no", "such", "place")
        choices: tuple[dict[str, Any], ...] = (
            {"weights": str(nonsense)},
            {"resolution": (1, 1)},
            {"continue_from": nonsense},
        )
        for choice in choices:
            try:
                backend.configured(**choice)
            except BackendError:
                continue
            pytest.fail(f"B10: configured({choice}) raises a BackendError")
