"""Prompts and scenes: round trip, any text, held-out suites."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvbench_selfforcing_wan.config import TINY
from kvbench_selfforcing_wan.tiny.grammar import Event, Scene, parse
from kvbench_selfforcing_wan.tiny.sampling import (
    single_scene,
    story_scene,
    suite_prompts,
    suite_scenes,
    training_scenes,
)
from kvbench_selfforcing_wan.tiny.tokens import SLOTS, VOCABULARY, tokenise

SUITES = ("tiny", "tiny-story")


@given(st.integers(0, 10**9), st.booleans())
@settings(deadline=None)
def test_a_sentence_parses_back(seed: int, story: bool) -> None:
    scene = (story_scene if story else single_scene)(random.Random(seed))
    assert parse(scene.sentence()) == scene


@given(st.text())
@settings(deadline=None)
def test_any_text_is_a_scene_and_always_the_same(text: str) -> None:
    scene = parse(text)
    assert parse(text) == scene
    assert parse(scene.sentence()) == scene
    assert len(tokenise(scene)) == len(SLOTS)


@given(st.integers(0, 10**9))
@settings(deadline=None)
def test_ids_tell_scenes_apart(seed: int) -> None:
    a, b = (story_scene(random.Random(seed + i)) for i in range(2))
    assert (tokenise(a) == tokenise(b)) == (a == b)


def test_every_slot_has_ids_of_its_own() -> None:
    assert len(set(VOCABULARY)) == len(VOCABULARY)
    assert len(SLOTS) == TINY.text_length


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("a crimson sphere rolls right over water", ("ball", "red", "right", "sea")),
        ("The TEAL hoop, over a brick wall, falls", ("ring", "cyan", None, "bricks")),
        ("a star moves left", ("star", None, "left", None)),
    ],
)
def test_synonyms_and_open_slots(prompt: str, expected: tuple[str | None, ...]) -> None:
    scene = parse(prompt)
    found = (scene.kind, scene.colour, scene.motion, scene.background)
    for value, told in zip(found, expected, strict=True):
        assert told is None or value == told


def test_a_story_in_other_words() -> None:
    scene = parse("a red ball rolls right, bounces, then turns blue, then turns green and rises")
    assert scene.events == (Event(colour="blue"), Event(colour="green", course="up"))
    assert scene.looks == (("ball", "red"), ("ball", "blue"), ("ball", "green"))


def test_an_event_without_a_new_look_is_dropped() -> None:
    assert parse("a red ball moves right, then turns red").events == ()


def test_scenes_refuse_what_cannot_happen() -> None:
    with pytest.raises(ValueError, match="meets no wall"):
        Scene(kind="ball", colour="red", motion="orbit", events=(Event(colour="blue"),))
    with pytest.raises(ValueError, match="camera stands still"):
        Scene(kind="ball", colour="red", motion="bounce", camera="left")
    with pytest.raises(ValueError, match="a look that was not there"):
        Scene(kind="ball", colour="red", events=(Event(colour="red"),))


@pytest.mark.parametrize("suite", SUITES)
def test_suites_are_varied_and_stable(suite: str) -> None:
    prompts = suite_prompts(suite)
    assert len(set(prompts)) == len(prompts) >= 20
    assert [parse(prompt) for prompt in prompts] == list(suite_scenes(suite))
    assert all(bool(scene.events) == (suite == "tiny-story") for scene in suite_scenes(suite))


def test_the_first_prompts_do_not_change() -> None:
    assert [suite_prompts(suite)[0] for suite in SUITES] == [
        "a cyan square moves right slowly over sand dunes",
        "a yellow star moves right over a night sky, then at the wall becomes a cross and goes up",
    ]


def test_training_never_sees_a_held_out_combination() -> None:
    held_out = {scene.combination for suite in SUITES for scene in suite_scenes(suite)}
    seen = {scene.combination for scene in itertools.islice(training_scenes(1), 5000)}
    assert len(seen) > 2000
    assert not seen & held_out
