"""Pareto frontiers: methods that no other method beats on every objective.

Method i dominates method j if it is not worse on any objective and better on one, by more than
1e-9 in the objective's unit. The four frontiers and their objectives are the published study's.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from kvbench_report.axes import (
    DRIFT,
    LPIPS,
    PEAK,
    RATIO,
    RUNTIME,
    SSIM,
    Axis,
    column_for,
    cost,
    costs,
    notes,
)
from kvbench_report.display import display_name
from kvbench_report.results import Column, Floats, Results
from kvbench_report.stats import drawn_levels

TOLERANCE = 1e-9
DRAWS = 1000


@frozen
class Rule:
    """A frontier by its objectives."""

    title: str
    objectives: tuple[Axis, ...]


FRONTIERS: Mapping[str, Rule] = {
    "balanced": Rule("balanced practical", (SSIM, LPIPS, DRIFT, RATIO, RUNTIME, PEAK)),
    "compression": Rule("quality-preserving compression", (RATIO, SSIM, LPIPS, DRIFT)),
    "systems": Rule("systems efficiency", (RUNTIME, PEAK, RATIO)),
    "quality": Rule("quality first", (SSIM, LPIPS, DRIFT, RUNTIME)),
}


@frozen(kw_only=True)
class Frontier:
    """Which methods are on a frontier.

    ``dominators`` has the methods that take part: the names of those that dominate it, none for a
    member. ``shares`` says in which share of the draws of prompts a method is a member; it is
    empty where prompts are not known or there is one. ``excluded`` says why the others have no
    part. ``notes`` names objectives that are left out or that another column stands in for.
    """

    name: str
    title: str
    objectives: tuple[Column, ...]
    dominators: Mapping[str, tuple[str, ...]]
    shares: Mapping[str, float]
    excluded: Mapping[str, str]
    notes: tuple[str, ...]

    @property
    def members(self) -> tuple[str, ...]:
        """The methods on the frontier, in the results' order."""
        return tuple(name for name, others in self.dominators.items() if not others)


def frontier(results: Results, name: str) -> Frontier:
    """One of :data:`FRONTIERS`, over the objectives that the results have."""
    rule = FRONTIERS[name]
    found = {axis: column_for(results, axis) for axis in rule.objectives}
    columns = tuple(column for column in found.values() if column is not None)
    table = (
        np.array([costs(results, column) for column in columns])
        .reshape(len(columns), len(results.methods))
        .T
    )
    takes_part = np.isfinite(table).all(axis=1) & bool(columns)
    rows = np.flatnonzero(takes_part)
    beaten = dominance(table[rows])
    names = [results.names[row] for row in rows]
    return Frontier(
        name=name,
        title=rule.title,
        objectives=columns,
        dominators={
            mine: tuple(other for i, other in enumerate(names) if beaten[i, j])
            for j, mine in enumerate(names)
        },
        shares=_shares(results, columns, rows),
        excluded={
            results.names[row]: _why(columns, table[row]) for row in np.flatnonzero(~takes_part)
        },
        notes=tuple(notes(found)),
    )


def dominance(table: Floats) -> NDArray[np.bool_]:
    """Whether method i dominates method j, ``[..., i, j]``; ``table`` is costs ``[..., i, k]``."""
    more = table[..., :, None, :] - table[..., None, :, :]
    return np.logical_and((more <= TOLERANCE).all(-1), (more < -TOLERANCE).any(-1))


def _shares(
    results: Results, columns: tuple[Column, ...], rows: NDArray[np.intp]
) -> dict[str, float]:
    if len(results.prompts) < 2 or not len(rows):
        return {}
    drawn = [cost(drawn_levels(results, c.name, DRAWS)[:, rows], c) for c in columns]
    beaten = dominance(np.stack(drawn, axis=-1)).any(axis=1)
    share = 1 - beaten.mean(axis=0)
    return {results.names[row]: float(share[i]) for i, row in enumerate(rows)}


def _why(columns: tuple[Column, ...], costs: Floats) -> str:
    missing = [display_name(c) for c, v in zip(columns, costs, strict=True) if np.isnan(v)]
    infinite = [display_name(c) for c, v in zip(columns, costs, strict=True) if np.isinf(v)]
    parts = [f"no {', '.join(missing)}"] * bool(missing)
    parts += [f"{', '.join(infinite)} is infinite"] * bool(infinite)
    return "; ".join(parts) or "no objective has a figure"
