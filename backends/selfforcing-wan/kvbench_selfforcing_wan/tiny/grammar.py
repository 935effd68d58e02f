"""A small language of moving shapes: prompts in, scenes out.

A scene is one object (kind, colour, surface) that moves in one way over one background, seen by a
camera that stands still or slides. A *story* adds up to two events; each happens when the object
next touches a wall and changes its look, and maybe its course. Any text is accepted: what it does
not tell is chosen by a stable hash of it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

from attrs import evolve, field, frozen
from attrs.validators import in_

KINDS = ("ball", "square", "triangle", "star", "ring", "cross")
COLOURS = ("red", "orange", "yellow", "green", "cyan", "blue", "purple", "white")
SURFACES = ("plain", "striped", "dotted")
MOTIONS = ("right", "left", "up", "down", "orbit", "stay", "bounce")
SPEEDS = ("slow", "steady", "fast")
CAMERAS = ("static", "left", "right")
BACKGROUNDS = ("meadow", "sea", "bricks", "checkers", "dunes", "night")
COURSES = ("back", "up", "down", "stop")

WALLED_MOTIONS = ("right", "left", "up", "down")
MAX_EVENTS = 2

_MOTION_WORDS = {
    "right": "moves right",
    "left": "moves left",
    "up": "rises",
    "down": "falls",
    "orbit": "orbits",
    "stay": "stays",
    "bounce": "bounces",
}
_SPEED_WORDS = {"slow": "slowly", "steady": "", "fast": "fast"}
_CAMERA_WORDS = {
    "static": "",
    "left": " while the camera pans left",
    "right": " while the camera pans right",
}
_BACKGROUND_WORDS = {
    "meadow": "a meadow",
    "sea": "the sea",
    "bricks": "a brick wall",
    "checkers": "a checkered floor",
    "dunes": "sand dunes",
    "night": "a night sky",
}
_COURSE_WORDS = {"back": "turns back", "up": "goes up", "down": "goes down", "stop": "stops"}

_SYNONYMS = {
    "circle": "ball", "sphere": "ball", "disc": "ball", "box": "square", "cube": "square",
    "pyramid": "triangle", "hoop": "ring", "donut": "ring", "plus": "cross",
    "crimson": "red", "gold": "yellow", "golden": "yellow", "turquoise": "cyan", "teal": "cyan",
    "navy": "blue", "violet": "purple", "magenta": "purple", "silver": "white",
    "stripes": "striped", "stripy": "striped", "spotted": "dotted", "dots": "dotted",
    "smooth": "plain", "rises": "up", "rise": "up", "climbs": "up", "upwards": "up",
    "falls": "down", "fall": "down", "drops": "down", "sinks": "down", "downwards": "down",
    "orbits": "orbit", "circles": "orbit", "circling": "orbit", "stays": "stay", "still": "stay",
    "rests": "stay", "hovers": "stay", "bounces": "bounce", "bouncing": "bounce",
    "slowly": "slow", "quickly": "fast", "rapidly": "fast",
    "grass": "meadow", "field": "meadow", "ocean": "sea", "water": "sea", "brick": "bricks",
    "checkered": "checkers", "floor": "checkers", "desert": "dunes", "sand": "dunes",
    "sky": "night", "stars": "night", "stops": "stop",
}  # fmt: skip


@frozen(kw_only=True)
class Event:
    """What a touch of the wall does: a new look (``None``: unchanged) and a course."""

    colour: str | None = None
    kind: str | None = None
    course: str = field(default="back", validator=in_(COURSES))


@frozen(kw_only=True)
class Scene:
    """Everything that a prompt can tell."""

    kind: str = field(validator=in_(KINDS))
    colour: str = field(validator=in_(COLOURS))
    surface: str = field(default="plain", validator=in_(SURFACES))
    motion: str = field(default="right", validator=in_(MOTIONS))
    speed: str = field(default="steady", validator=in_(SPEEDS))
    camera: str = field(default="static", validator=in_(CAMERAS))
    background: str = field(default="meadow", validator=in_(BACKGROUNDS))
    events: tuple[Event, ...] = ()

    def __attrs_post_init__(self) -> None:
        if len(self.events) > MAX_EVENTS:
            raise ValueError(f"scene: at most {MAX_EVENTS} events; got {len(self.events)}")
        if self.events and self.motion not in WALLED_MOTIONS:
            raise ValueError(f"scene: a {self.motion} motion meets no wall, so no event happens")
        if self.walled and self.camera != "static":
            raise ValueError("scene: the camera stands still where there are walls")
        if len(set(self.looks)) <= len(self.events):
            raise ValueError("scene: every event must give a look that was not there before")
        for event in self.events[:-1]:
            if event.course == "stop":
                raise ValueError("scene: nothing happens after a stop")

    @property
    def walled(self) -> bool:
        """Whether the object is shut in by walls rather than wrapping around."""
        return bool(self.events) or self.motion == "bounce"

    @property
    def looks(self) -> tuple[tuple[str, str], ...]:
        """(kind, colour) at the start and after each event."""
        looks = [(self.kind, self.colour)]
        for event in self.events:
            looks.append((event.kind or looks[-1][0], event.colour or looks[-1][1]))
        return tuple(looks)

    @property
    def combination(self) -> tuple[object, ...]:
        """What is held out from training together."""
        return self.kind, self.colour, self.motion, self.events

    def sentence(self) -> str:
        """The canonical prompt; :func:`parse` gives the scene back."""
        surface = "" if self.surface == "plain" else f"{self.surface} "
        motion = " ".join(filter(None, (_MOTION_WORDS[self.motion], _SPEED_WORDS[self.speed])))
        look = f"{surface}{self.colour} {self.kind}"
        text = f"{'an' if look[0] in 'aeiou' else 'a'} {look} {motion} over "
        text += _BACKGROUND_WORDS[self.background] + _CAMERA_WORDS[self.camera]
        for event in self.events:
            text += ", then at the wall"
            text += f" turns {event.colour} and" if event.colour else ""
            text += f" becomes a {event.kind} and" if event.kind else ""
            text += f" {_COURSE_WORDS[event.course]}"
        return text


def parse(prompt: str) -> Scene:
    """The scene that ``prompt`` tells; the same text always gives the same scene."""
    head, *tails = re.split(r"[,;.]?\s*\bthen\b|[,;.]", prompt.lower())
    before, _, camera_part = head.partition("camera")
    words = _words(before)
    choose = _Chooser(prompt)
    events = _events([_words(tail) for tail in tails])
    motions = WALLED_MOTIONS if events else MOTIONS
    scene = Scene(
        kind=_first(words, KINDS) or choose("kind", KINDS),
        colour=_first(words, COLOURS) or choose("colour", COLOURS),
        surface=_first(words, SURFACES) or "plain",
        motion=_first(words, motions) or choose("motion", motions),
        speed=_first(words, SPEEDS) or "steady",
        background=_first(words, BACKGROUNDS) or choose("background", BACKGROUNDS),
    )
    scene = _with_events(scene, events)
    camera = _first(_words(camera_part), ("left", "right")) if camera_part else None
    if camera and not scene.walled:
        scene = evolve(scene, camera=camera)
    return scene


def _events(tails: Sequence[Sequence[str]]) -> list[Event]:
    """One event for each clause that names a colour or a kind."""
    events = []
    for words in tails:
        colour, kind = _first(words, COLOURS), _first(words, KINDS)
        course = _first(words, ("up", "down", "stop")) or "back"
        if colour or kind:
            events.append(Event(colour=colour, kind=kind, course=course))
    return events[:MAX_EVENTS]


def _with_events(scene: Scene, events: Sequence[Event]) -> Scene:
    """Add the events that change the look, up to the first stop."""
    for event in events:
        if scene.events and scene.events[-1].course == "stop":
            break
        kind, colour = scene.looks[-1]
        if (event.kind or kind, event.colour or colour) not in scene.looks:
            scene = evolve(scene, events=(*scene.events, event))
    return scene


def _words(text: str) -> list[str]:
    words = re.findall(r"[a-z]+", text)
    return [_SYNONYMS.get(word, word) for word in words]


def _first(words: Sequence[str], values: Sequence[str]) -> str | None:
    return next((word for word in words if word in values), None)


class _Chooser:
    """Picks a value for a slot that a prompt leaves open."""

    def __init__(self, prompt: str) -> None:
        self._prompt = " ".join(_words(prompt.lower()))

    def __call__(self, slot: str, values: Sequence[str]) -> str:
        digest = hashlib.sha256(f"{slot}:{self._prompt}".encode()).digest()
        return values[int.from_bytes(digest[:8], "big") % len(values)]
