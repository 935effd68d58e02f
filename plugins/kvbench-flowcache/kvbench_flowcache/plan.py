"""Which latent frames each tier gets: sizes from counts, membership from scores."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

from attrs import frozen


class Level(IntEnum):
    """Where a latent frame is kept. A frame only ever moves down."""

    NEWEST = 0
    IMPORTANT = 1
    RETAINED = 2
    PRUNED = 3


@frozen(kw_only=True)
class Shares:
    """The share of frames that each tier gets, of those that the tiers before it left.

    ``important`` is ``None`` where there is no such tier, ``retained`` where nothing is pruned.
    """

    newest: float
    important: float | None = None
    retained: float | None = None

    def sizes(self, frames: int, scale: float) -> dict[Level, int]:
        """Frames in each tier, ``scale`` being the layer's; the rest is pruned.

        With ``n`` frames and all rounding half to even::

            newest    r = max(1, round(min(newest scale, 1) n))
            important i = max(1, round(important scale (n - r)))
            retained  t = max(1, round(retained scale (n - r - i)))

        each capped by what is left.
        """
        newest = min(frames, max(1, round(min(self.newest * scale, 1.0) * frames)))
        old = frames - newest
        important = 0 if self.important is None else _part(self.important * scale, old)
        rest = old - important
        retained = rest if self.retained is None else _part(self.retained * scale, rest)
        return {Level.NEWEST: newest, Level.IMPORTANT: important, Level.RETAINED: retained}


def _part(share: float, frames: int) -> int:
    return min(frames, max(1, round(share * frames)))


def assign(held: Sequence[Level], sizes: dict[Level, int], scores: Sequence[float]) -> list[Level]:
    """The level of each frame, given the one at which it is ``held``.

    The newest frames stay as they are. Of the others each tier takes the highest scores (of equal
    ones the newer) among the frames that are held at its own level or above it: what a lower tier
    took from a frame does not come back.
    """
    old = len(held) - sizes[Level.NEWEST]
    plan = [Level.PRUNED] * old + list(held[old:])
    waiting = sorted(range(old), key=lambda frame: (scores[frame], frame), reverse=True)
    for level in (Level.IMPORTANT, Level.RETAINED):
        able = [frame for frame in waiting if held[frame] <= level]
        for frame in able[: sizes[level]]:
            plan[frame] = level
        waiting = [frame for frame in waiting if plan[frame] is Level.PRUNED]
    return plan
