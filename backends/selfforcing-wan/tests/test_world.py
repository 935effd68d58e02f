"""The exact world, its encoding, and the judge that knows it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from kvbench_selfforcing_wan.tiny import pixels
from kvbench_selfforcing_wan.tiny.grammar import Scene, parse
from kvbench_selfforcing_wan.tiny.judge import Verdict, judge
from kvbench_selfforcing_wan.tiny.sampling import suite_scenes
from kvbench_selfforcing_wan.tiny.world import (
    PIXELS_PER_FRAME,
    REACH,
    SIZE,
    Placement,
    SceneBatch,
    place,
    place_anywhere,
    render,
    simulate,
)

RIGHT = parse("a red ball moves right over the sea")
STORY = parse("a white star falls over sand dunes, then turns blue, then becomes a ring and stops")


def video(*scenes: Scene, frames: int = 42, seed: int = 0) -> Tensor:
    """Uint8 ``[scene, frame, row, column, rgb]``, through the encoding and back."""
    batch = SceneBatch.of(scenes)
    placement = place(batch, torch.Generator().manual_seed(seed))
    truth = render(batch, simulate(batch, placement, frames))
    return pixels.to_uint8(pixels.decode(pixels.encode(truth)))


@pytest.fixture(scope="module")
def right() -> Tensor:
    return video(RIGHT)[0]


def accepted(verdict: Verdict) -> bool:
    return verdict.object_ok and verdict.motion_ok


@pytest.mark.parametrize("suite", ["tiny", "tiny-story"])
def test_the_judge_accepts_the_truth(suite: str) -> None:
    scenes = suite_scenes(suite)[:8]
    verdicts = [judge(v, s) for v, s in zip(video(*scenes), scenes, strict=True)]
    assert all(accepted(verdict) for verdict in verdicts)
    assert min(verdict.object_share for verdict in verdicts) >= 0.95
    for verdict in verdicts:
        assert verdict.score_last_quarter > 0.8 * verdict.score_first_quarter


@pytest.mark.parametrize(
    "prompt",
    [
        "a red square moves right over the sea",
        "a blue ball moves right over the sea",
        "a purple cross moves right over the sea",
    ],
)
def test_the_judge_refuses_another_object(right: Tensor, prompt: str) -> None:
    assert not judge(right, parse(prompt)).object_ok


@pytest.mark.parametrize("motion", ["moves left", "rises", "falls", "orbits", "stays", "bounces"])
def test_the_judge_refuses_another_motion(right: Tensor, motion: str) -> None:
    verdict = judge(right, parse(f"a red ball {motion} over the sea"))
    assert verdict.object_ok
    assert not verdict.motion_ok


def test_the_judge_refuses_a_frozen_a_shuffled_and_a_noise_video(right: Tensor) -> None:
    order = torch.randperm(42, generator=torch.Generator().manual_seed(0))
    assert not judge(right[:1].expand(42, -1, -1, -1), RIGHT).motion_ok
    assert not judge(right[order], RIGHT).motion_ok
    noise = torch.randint(0, 256, right.shape, generator=torch.Generator().manual_seed(1))
    assert not judge(noise.to(torch.uint8), RIGHT).object_ok


def test_the_judge_refuses_a_story_told_backwards_or_half() -> None:
    told = video(STORY)[0]
    assert accepted(judge(told, STORY))
    assert not accepted(judge(told.flip(0), STORY))
    assert not judge(video(parse("a white star falls over sand dunes"))[0], STORY).motion_ok


def test_an_object_that_fades_scores_less_at_the_end(right: Tensor) -> None:
    grey = right.float().mean((0, 1, 2)).expand_as(right)
    fade = torch.linspace(0, 1, 42)[:, None, None, None]
    verdict = judge((right + (grey - right) * fade).to(torch.uint8), RIGHT)
    assert verdict.score_last_quarter < 0.5 * verdict.score_first_quarter


def test_encoding_is_exact_inside_its_span() -> None:
    latents = torch.randn(2, 3, 16, 16, 18, generator=torch.Generator().manual_seed(0))
    decoded = pixels.decode(latents)
    assert decoded.shape == (2, 3, 128, 144, 3)
    torch.testing.assert_close(pixels.encode(decoded), latents, atol=1e-4, rtol=1e-4)


def test_decoding_in_pieces_changes_nothing() -> None:
    latents = torch.randn(6, 16, 16, 18, generator=torch.Generator().manual_seed(0))
    pieces = torch.cat([pixels.decode(piece) for piece in latents.split(3)])
    assert torch.equal(pixels.to_uint8(pieces), pixels.to_uint8(pixels.decode(latents)))


def test_latents_have_unit_variance_over_the_world() -> None:
    batch = SceneBatch.of([*suite_scenes("tiny"), *suite_scenes("tiny-story")])
    generator = torch.Generator().manual_seed(0)
    latents = pixels.encode(render(batch, simulate(batch, place_anywhere(batch, generator), 2)))
    assert float(latents.std()) == pytest.approx(1, abs=0.15)


def test_what_follows_depends_on_what_is_seen_only() -> None:
    """Started again where a free object has got to, the world goes on in the same way."""
    batch = SceneBatch.of([parse(f"a red ball {m} over the sea") for m in ("rises", "stays")])
    whole = simulate(batch, place(batch, torch.Generator().manual_seed(0)), 12)
    there = Placement(start=whole.position[:, 5].long(), origin=whole.origin[:, 5])
    again = simulate(batch, there, 7)
    torch.testing.assert_close(again.position, whole.position[:, 5:])
    assert torch.equal(render(batch, again)[:, 3], render(batch, whole)[:, 8])


def test_walls_hold_and_events_come_at_their_touch() -> None:
    batch = SceneBatch.of(suite_scenes("tiny-story"))
    track = simulate(batch, place(batch, torch.Generator().manual_seed(0)), 42)
    inside = (track.position - track.origin) % torch.tensor(SIZE)
    assert (inside >= REACH - 1e-3).all()
    assert (inside <= torch.tensor(SIZE) - REACH + 1e-3).all()
    changed = track.look[:, 1:] > track.look[:, :-1]
    touching = ((inside - REACH).abs() < 1e-3) | (
        (inside - torch.tensor(SIZE) + REACH).abs() < 1e-3
    )
    assert touching.any(-1)[:, 1:][changed].all()
    assert (track.look[:, -1] == batch.events).all()


def test_the_camera_moves_the_background_only() -> None:
    scenes = [parse(f"a red ball stays over the sea while the camera pans {d}") for d in ("left", "right")]  # fmt: skip  # noqa: E501
    batch = SceneBatch.of(scenes)
    track = simulate(batch, place(batch, torch.Generator().manual_seed(0)), 3)
    slide = (track.origin[:, 1] - track.origin[:, 0] + 72) % 144 - 72
    assert slide[:, 0].tolist() == [2, -2]
    assert torch.equal(track.position[:, 2], track.position[:, 0])
    assert PIXELS_PER_FRAME[0] != 2
