"""Two results side by side: what they have in common, what was different, what agrees."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from attrs import frozen

from kvbench_report.agreement import Agreement, Pair, agreements, common_methods
from kvbench_report.results import Results

LARGEST = 3
"""Disagreements that are named for each quantity."""


@frozen(kw_only=True)
class Comparison:
    """Two results over the methods that both have."""

    here: Results
    there: Results
    pairs: Sequence[Pair]
    agreements: Sequence[Agreement]
    only_here: tuple[str, ...]
    only_there: tuple[str, ...]
    settings: tuple[str, ...]


def compare(here: Results, there: Results, integration: str = "streaming") -> Comparison:
    """Compare two results; ``integration`` chooses where ``here`` has a method in several."""
    pairs = common_methods(here, there, integration)
    mine, theirs = {i for i, _ in pairs}, {j for _, j in pairs}
    return Comparison(
        here=here,
        there=there,
        pairs=pairs,
        agreements=agreements(here, there, pairs),
        only_here=tuple(name for i, name in enumerate(here.names) if i not in mine),
        only_there=tuple(name for j, name in enumerate(there.names) if j not in theirs),
        settings=tuple(_differing(here, there)),
    )


def disagreements(found: Agreement) -> list[tuple[str, float, float]]:
    """The methods whose ranks differ most, with both ranks; the largest differences first."""
    named = ((name, *ranks) for name, ranks in zip(found.methods, found.ranks, strict=True))
    moved = sorted(named, key=lambda each: -abs(each[1] - each[2]))
    return [each for each in moved if abs(each[1] - each[2]) >= 1][:LARGEST]


def _differing(here: Results, there: Results) -> Iterator[str]:
    for name in {**here.settings, **there.settings}:
        mine, theirs = here.settings.get(name, ""), there.settings.get(name, "")
        if mine and theirs and mine != theirs:
            yield f"{name}: {mine} | {theirs}"
    for column, mine_too in here.columns.items():
        other = there.columns.get(column)
        if other and mine_too.metric and other.metric and mine_too.metric != other.metric:
            yield f"metric of {column}: {mine_too.metric} | {other.metric}"
