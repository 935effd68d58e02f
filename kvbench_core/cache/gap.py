"""Tokens that were forgotten: the others keep their positions and lie side by side."""

from __future__ import annotations

from attrs import frozen


@frozen
class Gap:
    """Of a run of tokens, those at ``start <= t < stop`` are no longer held."""

    start: int = 0
    stop: int = 0

    def slot(self, token: int) -> int:
        """Where ``token`` lies among those that are held: how many of them come before it."""
        return token - max(0, min(token, self.stop) - self.start)

    def outside(self, tokens: int) -> list[tuple[int, int]]:
        """The runs that are held of the first ``tokens``."""
        runs = (0, min(self.start, tokens)), (self.stop, tokens)
        return [(start, stop) for start, stop in runs if start < stop]
