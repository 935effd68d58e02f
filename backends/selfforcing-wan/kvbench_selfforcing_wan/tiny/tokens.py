"""A scene as a row of token ids: one slot after the other, every slot with ids of its own.

Cross-attention sees a set of tokens without order, so the id has to tell slot and value.
"""

from __future__ import annotations

from kvbench_selfforcing_wan.tiny.grammar import (
    BACKGROUNDS,
    CAMERAS,
    COLOURS,
    COURSES,
    KINDS,
    MAX_EVENTS,
    MOTIONS,
    SPEEDS,
    SURFACES,
    Scene,
)

NONE = "-"
_EVENT_SLOTS: tuple[tuple[str, tuple[str, ...]], ...] = tuple(
    (f"event {index} {name}", (NONE, *values))
    for index in range(MAX_EVENTS)
    for name, values in (("colour", COLOURS), ("kind", KINDS), ("course", COURSES))
)
SLOTS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("kind", KINDS),
    ("colour", COLOURS),
    ("surface", SURFACES),
    ("motion", MOTIONS),
    ("speed", SPEEDS),
    ("camera", CAMERAS),
    ("background", BACKGROUNDS),
    *_EVENT_SLOTS,
)
VOCABULARY: tuple[str, ...] = tuple(f"{slot}={v}" for slot, values in SLOTS for v in values)
_IDS = {word: index for index, word in enumerate(VOCABULARY)}


def tokenise(scene: Scene) -> tuple[int, ...]:
    """``len(SLOTS)`` ids."""
    values = [
        scene.kind,
        scene.colour,
        scene.surface,
        scene.motion,
        scene.speed,
        scene.camera,
        scene.background,
    ]
    for index in range(MAX_EVENTS):
        event = scene.events[index] if index < len(scene.events) else None
        values += [event.colour or NONE, event.kind or NONE, event.course] if event else [NONE] * 3
    return tuple(_IDS[f"{slot}={v}"] for (slot, _), v in zip(SLOTS, values, strict=True))
