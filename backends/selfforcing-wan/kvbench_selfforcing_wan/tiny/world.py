"""The world that the tiny generator has learnt: exact physics and a renderer.

Positions are pixels on a torus of 128 x 144. One latent frame is one video frame. A prompt leaves
open at which offset the background lies, with the object in the middle of it; the first frames
settle that, after which everything follows. What happens next depends on what can be seen now
(place, course, look), never on a hidden clock, so a rollout of any length stays in the world.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from attrs import fields, frozen
from torch import Tensor

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
from kvbench_selfforcing_wan.tiny.shapes import PALETTE, PATCH, coverage, shading
from kvbench_selfforcing_wan.tiny.textures import HEIGHT, WALL_HALF_WIDTH, WIDTH, textures

SIZE = (WIDTH, HEIGHT)
PIXELS_PER_FRAME = (2.5, 4.0, 6.0)
"""Speed of a slow, steady and fast object."""
PAN_PIXELS = 2
"""How far the background slides per frame under a panning camera. The object does not."""
ORBIT_RADIUS = 20.0
REACH = 20 + WALL_HALF_WIDTH
"""Distance of an object's centre from the middle of the wall that it touches."""
FIRST_TOUCH_FRAMES = 9
"""When a story's first event happens."""
LATTICE = 16
"""Offsets of the background are multiples of this: one token."""

_HEADINGS = {"right": (1, 0), "left": (-1, 0), "up": (0, -1), "down": (0, 1), "bounce": (0, 1)}


@frozen(kw_only=True, eq=False)
class SceneBatch:
    """Scenes as tensors, first axis the scene; indices into the tuples of the grammar."""

    kind: Tensor
    """``[scene, look]``"""
    colour: Tensor
    """``[scene, look]``"""
    course: Tensor
    """``[scene, event]``"""
    events: Tensor
    surface: Tensor
    motion: Tensor
    heading: Tensor
    """Unit vector (x, y) of the first course, zero for an orbit or an object at rest."""
    speed: Tensor
    """Pixels per frame."""
    pan: Tensor
    """Pixels per frame by which the background moves right."""
    background: Tensor
    walled: Tensor

    @classmethod
    def of(cls, scenes: Sequence[Scene]) -> SceneBatch:
        looks = [s.looks + s.looks[-1:] * (MAX_EVENTS + 1 - len(s.looks)) for s in scenes]
        courses = [
            [COURSES.index(e.course) for e in s.events] + [0] * (MAX_EVENTS - len(s.events))
            for s in scenes
        ]
        return cls(
            kind=torch.tensor([[KINDS.index(kind) for kind, _ in look] for look in looks]),
            colour=torch.tensor([[COLOURS.index(colour) for _, colour in look] for look in looks]),
            course=torch.tensor(courses),
            events=torch.tensor([len(s.events) for s in scenes]),
            surface=torch.tensor([SURFACES.index(s.surface) for s in scenes]),
            motion=torch.tensor([MOTIONS.index(s.motion) for s in scenes]),
            heading=torch.tensor([_HEADINGS.get(s.motion, (0, 0)) for s in scenes]),
            speed=torch.tensor([PIXELS_PER_FRAME[SPEEDS.index(s.speed)] for s in scenes]),
            pan=torch.tensor(
                [(0, PAN_PIXELS, -PAN_PIXELS)[CAMERAS.index(s.camera)] for s in scenes]
            ),
            background=torch.tensor([BACKGROUNDS.index(s.background) for s in scenes]),
            walled=torch.tensor([s.walled for s in scenes]),
        )

    @classmethod
    def joined(cls, parts: Sequence[SceneBatch]) -> SceneBatch:
        names = [f.name for f in fields(SceneBatch)]
        return cls(**{name: torch.cat([getattr(p, name) for p in parts]) for name in names})

    def to(self, device: torch.device | str) -> SceneBatch:
        return self._map(lambda tensor: tensor.to(device))

    def __getitem__(self, index: Tensor | slice) -> SceneBatch:
        return self._map(lambda tensor: tensor[index])

    def __len__(self) -> int:
        return len(self.kind)

    def _map(self, function) -> SceneBatch:  # type: ignore[no-untyped-def]
        values = {f.name: function(getattr(self, f.name)) for f in fields(SceneBatch)}
        return SceneBatch(**values)


@frozen(kw_only=True, eq=False)
class Placement:
    """What a prompt leaves open: whole pixels ``[scene, 2]``, x before y."""

    start: Tensor
    """The object's centre in frame 0."""
    origin: Tensor
    """Where the background's u = v = 0 (and with it the walls) lies in frame 0."""


@frozen(kw_only=True, eq=False)
class Track:
    """The truth about a clip, frame by frame."""

    position: Tensor
    """``[scene, frame, 2]`` the object's centre on the torus, x before y."""
    look: Tensor
    """``[scene, frame]`` how many events have happened."""
    origin: Tensor
    """``[scene, frame, 2]`` of the background."""


def place(scenes: SceneBatch, generator: torch.Generator | None = None) -> Placement:
    """Draw where the background lies; the object starts at its place relative to it."""
    device = scenes.kind.device
    cells = torch.tensor([side // LATTICE for side in SIZE], device=device)
    uniform = torch.rand(len(scenes), 2, generator=generator, device=device)
    return placed(scenes, LATTICE * (uniform * cells).long())


def placed(scenes: SceneBatch, origin: Tensor) -> Placement:
    """The placement with the background at ``origin [scene, 2]``.

    The object starts half-way between the origins, or so that a story's first touch comes after
    FIRST_TOUCH_FRAMES frames.
    """
    size = torch.tensor(SIZE, device=origin.device)
    run = (FIRST_TOUCH_FRAMES * scenes.speed[:, None]).minimum((size - 2 * REACH).float())
    ahead = torch.where(scenes.heading > 0, size - REACH - run, REACH + run).round().long()
    story = (scenes.events > 0)[:, None] & (scenes.heading != 0)
    start = torch.where(story, ahead, size // 2)
    return Placement(start=(origin + start) % size, origin=origin)


def place_anywhere(scenes: SceneBatch, generator: torch.Generator | None = None) -> Placement:
    """Draw background and object independently: clips that a prompt alone would not begin."""
    device, count = scenes.kind.device, len(scenes)
    size = torch.tensor(SIZE, device=device)
    uniform = torch.rand(count, 4, generator=generator, device=device)
    origin = (uniform[:, :2] * size).long()
    inside = (REACH + uniform[:, 2:] * (size - 2 * REACH)).round() + origin
    anywhere = uniform[:, 2:] * size
    start = torch.where(scenes.walled[:, None], inside, anywhere).long()
    return Placement(start=start % size, origin=origin)


def simulate(scenes: SceneBatch, placement: Placement, frames: int) -> Track:
    """Run the physics."""
    device = scenes.kind.device
    size = torch.tensor(SIZE, device=device)
    time = torch.arange(frames, device=device)[None, :, None]
    slide = torch.stack((scenes.pan, torch.zeros_like(scenes.pan)), dim=1)[:, None]
    origin = (placement.origin[:, None] + slide * time) % size
    velocity = scenes.heading * scenes.speed[:, None]
    free = placement.start[:, None] + velocity[:, None] * time
    turn = scenes.speed[:, None] / ORBIT_RADIUS * time[..., 0]
    circle = ORBIT_RADIUS * torch.stack((turn.sin(), 1 - turn.cos()), dim=-1)
    orbiting = scenes.motion == MOTIONS.index("orbit")
    free = torch.where(orbiting[:, None, None], free + circle, free)
    boxed, look = _between_walls(scenes, (placement.start - placement.origin) % size, frames)
    boxed = boxed + placement.origin[:, None]
    position = torch.where(scenes.walled[:, None, None], boxed, free) % size
    return Track(position=position, look=look, origin=origin)


def _between_walls(scenes: SceneBatch, start: Tensor, frames: int) -> tuple[Tensor, Tensor]:
    """Positions relative to the walls ``[scene, frame, 2]`` and looks ``[scene, frame]``."""
    high = torch.tensor(SIZE, device=start.device) - REACH
    position = start.float()
    velocity = scenes.heading * scenes.speed[:, None]
    look = torch.zeros_like(scenes.events)
    positions, looks = [position], [look]
    for _ in range(frames - 1):
        position = position + velocity
        outside = ((position <= REACH) & (velocity < 0)) | ((position >= high) & (velocity > 0))
        position = torch.minimum(position.clamp(min=REACH), high)
        touched = outside.any(1) & scenes.walled
        velocity = torch.where(touched[:, None], _after_touch(scenes, look, velocity), velocity)
        look = torch.where(touched, torch.minimum(look + 1, scenes.events), look)
        positions.append(position)
        looks.append(look)
    return torch.stack(positions, dim=1), torch.stack(looks, dim=1)


def _after_touch(scenes: SceneBatch, look: Tensor, velocity: Tensor) -> Tensor:
    """The velocity that a touch of the wall leaves, by the course of the event, if one is due."""
    due = look < scenes.events
    course = scenes.course.gather(1, look.clamp(max=MAX_EVENTS - 1)[:, None])[:, 0]
    vertical = torch.zeros_like(velocity)
    vertical[:, 1] = torch.where(course == COURSES.index("up"), -scenes.speed, scenes.speed)
    turns = due & ((course == COURSES.index("up")) | (course == COURSES.index("down")))
    # A course that leads straight into the wall just touched can only mean the way back.
    turns = turns & (velocity[:, 1] == 0)
    stops = due & (course == COURSES.index("stop"))
    after = torch.where(turns[:, None], vertical, -velocity)
    return torch.where(stops[:, None], torch.zeros_like(after), after)


def render(scenes: SceneBatch, track: Track) -> Tensor:
    """Float32 frames ``[scene, frame, row, column, rgb]`` in 0..1, on the scenes' device."""
    device = scenes.kind.device
    frames = background(scenes, track.origin)
    cell = track.position.floor().long()
    reach = torch.arange(PATCH, device=device) - PATCH // 2
    within = reach - (track.position - cell)[..., None]
    x, y = within[:, :, 0, None, :], within[:, :, 1, :, None]
    x, y = torch.broadcast_tensors(x, y)
    kind = scenes.kind.gather(1, track.look)[..., None, None]
    colour = scenes.colour.gather(1, track.look)
    alpha = coverage(kind, x, y)[..., None]
    paint = torch.tensor(PALETTE, device=device)[colour][:, :, None, None]
    paint = paint * shading(scenes.surface[:, None, None, None], x, y)[..., None]
    clip, frame = (torch.arange(n, device=device) for n in frames.shape[:2])
    rows = (cell[..., 1, None] + reach) % HEIGHT
    columns = (cell[..., 0, None] + reach) % WIDTH
    where = (
        clip[:, None, None, None],
        frame[:, None, None],
        rows[..., :, None],
        columns[..., None, :],
    )
    frames[where] = torch.lerp(frames[where], paint, alpha)
    return frames


def background(scenes: SceneBatch, origin: Tensor) -> Tensor:
    """Frames without object, ``[scene, frame, row, column, rgb]``; ``origin [scene, frame, 2]``."""
    device = scenes.kind.device
    pictures = textures().to(device)[scenes.walled.long(), scenes.background]
    rows = (torch.arange(HEIGHT, device=device) - origin[..., 1, None]) % HEIGHT
    columns = (torch.arange(WIDTH, device=device) - origin[..., 0, None]) % WIDTH
    clip = torch.arange(len(scenes), device=device)[:, None, None, None]
    return pictures[clip, rows[..., :, None], columns[..., None, :]]
