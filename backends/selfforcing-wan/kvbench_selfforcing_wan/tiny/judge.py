"""Does a video show what its prompt told? Decided by the world's own shapes and colours.

Every frame is searched for the object by matching all drawings (6 kinds x 8 colours) at all
places; what wins must be the look that the scene is in. Looks may only change in the order of the
story. The places found must move as told; where on the screen is left to the video.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import cache

import torch
from attrs import frozen
from torch import Tensor

from kvbench_selfforcing_wan.tiny.grammar import COLOURS, KINDS, SPEEDS, SURFACES, Scene
from kvbench_selfforcing_wan.tiny.shapes import PALETTE, PATCH, SHADE, coverage
from kvbench_selfforcing_wan.tiny.textures import HEIGHT, WIDTH
from kvbench_selfforcing_wan.tiny.world import ORBIT_RADIUS, PIXELS_PER_FRAME

OBJECT_SHARE = 0.8
"""Share of frames that must show the right object."""
MOTION_SHARE = 0.7
"""Share of the short moves that must go as told."""
LEAST_MATCH = 0.35
"""Below this match (1: perfect, 0: as on bare background) a frame shows no object."""
COLOUR_REACH = 0.30
"""RGB distance at which a pixel no longer counts as painted in a colour."""
LAG_FRAMES = 3
"""Length of the moves that are compared with the told speed."""

_HEADINGS = {"right": (1.0, 0.0), "left": (-1.0, 0.0), "up": (0.0, -1.0), "down": (0.0, 1.0)}


@frozen(kw_only=True)
class Verdict:
    """What the judge found."""

    scores: tuple[float, ...]
    """Per frame: how well the right object matches, 0 where another or none is seen."""
    object_ok: bool
    """The right kind and colour, in story order, in at least 80 % of the frames."""
    motion_ok: bool
    """At least 70 % of the moves go as told, and every event of a story has happened."""
    object_share: float
    motion_share: float

    @property
    def score_first_quarter(self) -> float:
        return _mean(self.scores[: max(1, len(self.scores) // 4)])

    @property
    def score_last_quarter(self) -> float:
        return _mean(self.scores[-max(1, len(self.scores) // 4) :])


@frozen(eq=False)
class Sightings:
    """The best match per frame: look as ``(kind, colour)`` indices, match, place ``[frame, 2]``."""

    looks: list[tuple[int, int]]
    match: Tensor
    place: Tensor


def judge(frames: Tensor, scene: Scene) -> Verdict:
    """Compare uint8 frames ``[frame, row, column, rgb]`` with what ``scene`` tells."""
    seen = find_object(frames, SURFACES.index(scene.surface))
    told = [(KINDS.index(kind), COLOURS.index(colour)) for kind, colour in scene.looks]
    stages = _stages(seen.looks, told)
    right = [
        look == told[stage] and float(match) >= LEAST_MATCH
        for look, stage, match in zip(seen.looks, stages, seen.match, strict=True)
    ]
    scores = tuple(float(m) * ok for m, ok in zip(seen.match, right, strict=True))
    object_share = _mean(right)
    motion_share = _motion_share(seen.place, right, stages, scene)
    complete = stages[-1] == len(told) - 1 if len(frames) >= 42 else True
    return Verdict(
        scores=scores,
        object_ok=object_share >= OBJECT_SHARE,
        motion_ok=motion_share >= MOTION_SHARE and complete,
        object_share=object_share,
        motion_share=motion_share,
    )


def find_object(frames: Tensor, surface: int) -> Sightings:
    """Match every drawing at every place of the torus.

    A drawing's match is the mean paintedness of the pixels under it minus that of the pixels
    around it; both means are circular correlations, computed with Fourier transforms.
    """
    pictures = frames.float() / 255
    inside, around = _templates()
    best = torch.full((len(frames),), -1.0)
    place = torch.zeros(len(frames), 2, dtype=torch.long)
    look = torch.zeros(len(frames), dtype=torch.long)
    for colour in range(len(COLOURS)):
        painted = torch.fft.rfft2(_paintedness(pictures, colour, surface != 0))
        for kind in range(len(KINDS)):
            template = inside[kind] - around[kind]
            match = torch.fft.irfft2(painted * template, s=(HEIGHT, WIDTH)).flatten(1)
            value, index = match.max(1)
            better = value > best
            best = torch.where(better, value, best)
            found = torch.stack((index % WIDTH, index // WIDTH), dim=1)
            place = torch.where(better[:, None], found, place)
            look = torch.where(better, kind * len(COLOURS) + colour, look)
    looks = [(int(i) // len(COLOURS), int(i) % len(COLOURS)) for i in look]
    return Sightings(looks, best.clamp(0, 1), place)


def _paintedness(pictures: Tensor, colour: int, shaded: bool) -> Tensor:
    """How near each pixel is to a colour (or its darker shade): 1 equal, 0 far."""
    paint = torch.tensor(PALETTE[colour])
    distance = (pictures - paint).norm(dim=-1)
    if shaded:
        distance = torch.minimum(distance, (pictures - SHADE * paint).norm(dim=-1))
    return (1 - distance / COLOUR_REACH).clamp(min=0)


@cache
def _templates() -> tuple[Tensor, Tensor]:
    """Conjugate spectra ``[kind, row, frequency]`` of averages under and around each drawing."""
    reach = torch.arange(PATCH, dtype=torch.float32) - PATCH // 2
    y, x = torch.meshgrid(reach, reach, indexing="ij")
    spectra = []
    for kind in range(len(KINDS)):
        under = (coverage(torch.tensor(kind), x, y) > 0.9).float()
        off = (coverage(torch.tensor(kind), x, y) < 0.1).float()
        spectra.append([_spectrum(under / under.sum()), _spectrum(off / off.sum())])
    inside, around = (torch.stack(s) for s in zip(*spectra, strict=True))
    return inside, around


def _spectrum(patch: Tensor) -> Tensor:
    canvas = torch.zeros(HEIGHT, WIDTH)
    canvas[:PATCH, :PATCH] = patch
    canvas = canvas.roll((-(PATCH // 2), -(PATCH // 2)), (0, 1))
    return torch.fft.rfft2(canvas).conj()


def _stages(looks: Sequence[tuple[int, int]], told: Sequence[tuple[int, int]]) -> list[int]:
    """The stage of the story at each frame: the non-decreasing course that fits most frames."""
    frames = range(len(looks) + 1)

    def fit(cuts: tuple[int, ...]) -> int:
        edges = (0, *cuts, len(looks))
        return sum(
            look == told[stage]
            for stage, (a, b) in enumerate(itertools.pairwise(edges))
            for look in looks[a:b]
        )

    # Among equals the latest cuts win, so a stage is entered only where it is seen.
    best = max(
        itertools.combinations_with_replacement(frames, len(told) - 1), key=lambda c: (fit(c), c)
    )
    return [sum(frame >= cut for cut in best) for frame in range(len(looks))]


def _motion_share(
    place: Tensor, right: Sequence[bool], stages: Sequence[int], scene: Scene
) -> float:
    """Share of the moves over LAG_FRAMES frames within one stage that go as told."""
    speed = PIXELS_PER_FRAME[SPEEDS.index(scene.speed)]
    told = _told_moves(scene, speed)
    moves = _wrapped(place[LAG_FRAMES:] - place[:-LAG_FRAMES])
    good = []
    for frame, move in enumerate(moves):
        stage = stages[frame]
        if stages[frame + LAG_FRAMES] != stage:
            continue
        sighted = right[frame] and right[frame + LAG_FRAMES]
        good.append(sighted and _as_told(move, told[stage], speed))
    if scene.motion == "orbit" and not _turns_clockwise(moves, speed):
        return 0.0
    return _mean(good)


def _told_moves(scene: Scene, speed: float) -> list[list[Tensor]]:
    """Per stage the moves over LAG_FRAMES frames that are as told; empty: any of orbit length."""
    if scene.motion == "orbit":
        return [[]]
    if scene.motion == "stay":
        return [[torch.zeros(2)]]
    heading = torch.tensor(_HEADINGS["down" if scene.motion == "bounce" else scene.motion])
    stages = [[heading]]
    for event in scene.events:
        if event.course in ("up", "down") and float(heading[1]) == 0:
            heading = torch.tensor(_HEADINGS[event.course])
        else:
            heading = torch.zeros(2) if event.course == "stop" else -heading
        stages.append([heading])
    if scene.walled:
        stages[-1].append(-heading)
    return [[LAG_FRAMES * speed * h for h in stage] for stage in stages]


def _as_told(move: Tensor, told: Sequence[Tensor], speed: float) -> bool:
    length = LAG_FRAMES * speed
    tolerance = max(2.5, 0.3 * length)
    if not told:
        chord = 2 * ORBIT_RADIUS * float(torch.sin(torch.tensor(length / ORBIT_RADIUS / 2)))
        return abs(float(move.norm()) - chord) <= tolerance
    return any(float((move - t).norm()) <= tolerance for t in told)


def _turns_clockwise(moves: Tensor, speed: float) -> bool:
    """Whether the moves of an orbit turn at the told rate, in the mean within a third."""
    if len(moves) <= LAG_FRAMES:
        return True
    before, after = moves[:-LAG_FRAMES], moves[LAG_FRAMES:]
    cross = before[:, 0] * after[:, 1] - before[:, 1] * after[:, 0]
    angle = torch.atan2(cross, (before * after).sum(1)).median()
    told = LAG_FRAMES * speed / ORBIT_RADIUS
    return abs(float(angle) - told) <= told / 3 + 0.1


def _wrapped(step: Tensor) -> Tensor:
    """The short way round the torus."""
    size = torch.tensor((WIDTH, HEIGHT))
    return ((step + size // 2) % size - size // 2).float()


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
