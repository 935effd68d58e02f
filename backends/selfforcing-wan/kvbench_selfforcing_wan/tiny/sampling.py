"""Random scenes, and the two suites of prompts that training never sees."""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import cache

from kvbench_selfforcing_wan.tiny.grammar import (
    BACKGROUNDS,
    CAMERAS,
    COLOURS,
    KINDS,
    MOTIONS,
    SPEEDS,
    SURFACES,
    WALLED_MOTIONS,
    Event,
    Scene,
)

SUITE_SIZE = 24
_SUITE_SEED = 20240607


def single_scene(rng: random.Random, motion: str | None = None) -> Scene:
    """A scene without events."""
    motion = motion or rng.choice(MOTIONS)
    return Scene(
        kind=rng.choice(KINDS),
        colour=rng.choice(COLOURS),
        surface=rng.choice(SURFACES),
        motion=motion,
        speed="steady" if motion == "stay" else rng.choice(SPEEDS),
        camera="static" if motion == "bounce" else rng.choice(CAMERAS),
        background=rng.choice(BACKGROUNDS),
    )


def story_scene(rng: random.Random) -> Scene:
    """A scene with one or two events."""
    kind, colour, motion = rng.choice(KINDS), rng.choice(COLOURS), rng.choice(WALLED_MOTIONS)
    kinds, colours, events, heading = [kind], [colour], [], motion
    for index in range(rng.choice((1, 2, 2))):
        change = rng.choice(("colour", "colour", "kind", "both"))
        new_colour = _other(rng, COLOURS, colours) if change != "kind" else None
        new_kind = _other(rng, KINDS, kinds) if change != "colour" else None
        courses = ["back", "back"] + (["up", "down"] if heading in ("left", "right") else [])
        course = rng.choice([*courses, "stop"] if index else courses)
        events.append(Event(colour=new_colour, kind=new_kind, course=course))
        heading = course if course in ("up", "down") else heading
    return Scene(
        kind=kind,
        colour=colour,
        surface=rng.choice(SURFACES),
        motion=motion,
        speed=rng.choice(SPEEDS[1:]),
        background=rng.choice(BACKGROUNDS),
        events=tuple(events),
    )


def _other(rng: random.Random, values: tuple[str, ...], used: list[str]) -> str:
    value = rng.choice([value for value in values if value not in used])
    used.append(value)
    return value


@cache
def suite_scenes(suite: str) -> tuple[Scene, ...]:
    """The scenes of suite ``tiny`` (one shot) or ``tiny-story`` (events at the walls)."""
    rng = random.Random(f"{suite}:{_SUITE_SEED}")  # noqa: S311  (prompts, not secrets)
    if suite == "tiny":
        return tuple(single_scene(rng, MOTIONS[i % len(MOTIONS)]) for i in range(SUITE_SIZE))
    if suite == "tiny-story":
        return tuple(story_scene(rng) for _ in range(SUITE_SIZE))
    raise ValueError(f"suite must be tiny or tiny-story; got {suite}")


def suite_prompts(suite: str) -> tuple[str, ...]:
    """The same as sentences."""
    return tuple(scene.sentence() for scene in suite_scenes(suite))


def training_scenes(seed: int, story_share: float = 0.5) -> Iterator[Scene]:
    """An endless stream of scenes, none with a combination held out by a suite."""
    held_out = {s.combination for name in ("tiny", "tiny-story") for s in suite_scenes(name)}
    rng = random.Random(seed)  # noqa: S311
    while True:
        scene = story_scene(rng) if rng.random() < story_share else single_scene(rng)
        if scene.combination not in held_out:
            yield scene
