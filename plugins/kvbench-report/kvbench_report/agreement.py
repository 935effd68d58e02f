"""How far two results agree: correlations over the methods that both have.

Pearson's r is about the values, Spearman's rho about their ranks (ties share their mean rank).
Intervals come from drawing prompts, not methods: they say how certain the correlation of these
methods is, not how it would be for others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from attrs import evolve, frozen

from kvbench_report.axes import AXES, column_for, cost
from kvbench_report.display import display_name
from kvbench_report.results import Column, Floats, MethodInfo, Results
from kvbench_report.stats import LEVEL, SEED, Estimate, drawn_levels

DRAWS = 2000
FEWEST = 3
"""Methods that a correlation needs."""

Pair = tuple[int, int]
"""The rows of one method in two results."""


@frozen(kw_only=True)
class Agreement:
    """One quantity in two results, over the methods whose figures are finite in both.

    ``name`` is the axis or the column. ``ranks`` are the methods' in both, 1 for the best.
    Correlations are ``None`` with fewer than three methods, or where all figures are equal.
    """

    name: str
    here: Column
    there: Column
    methods: tuple[str, ...]
    ranks: tuple[tuple[float, float], ...]
    pearson: float | None
    spearman: Estimate


def common_methods(here: Results, there: Results, integration: str = "streaming") -> list[Pair]:
    """Rows of the same method: of equal expression and integration, if both have expressions.

    A published table has none. There the name decides; where ``here`` has a method attached in two
    ways, the one of the given ``integration`` is taken.
    """
    if all(method.expression for method in (*here.methods, *there.methods)):
        keys = {(m.expression, m.integration): row for row, m in enumerate(there.methods)}
        matches = ((i, keys.get((m.expression, m.integration))) for i, m in enumerate(here.methods))
        return [(i, j) for i, j in matches if j is not None]
    names = {_bare(method): row for row, method in enumerate(there.methods)}
    chosen: dict[int, int] = {}
    for row, method in enumerate(here.methods):
        match = names.get(_bare(method))
        if match is not None and (match not in chosen or method.integration == integration):
            chosen[match] = row
    return sorted((row, match) for match, row in chosen.items())


def _bare(method: MethodInfo) -> str:
    """The name without the integration."""
    return method.name.removesuffix(f"@{method.integration}")


def common_columns(here: Results, there: Results) -> Iterator[tuple[str, Column, Column]]:
    """What both measure: by axis, then by the columns of equal name."""
    used: set[str] = set()
    for axis in AXES:
        mine, theirs = column_for(here, axis), column_for(there, axis)
        if mine is not None and theirs is not None:
            used |= {mine.name, theirs.name}
            yield axis.name, mine, theirs
    for name in here.columns:
        if name in there.columns and name not in used:
            yield display_name(here.columns[name]), here.columns[name], there.columns[name]


def agreements(here: Results, there: Results, pairs: Sequence[Pair]) -> list[Agreement]:
    """The agreement of the paired methods on everything that both results measure."""
    return [
        _agreement(_Sides(here, there, mine, theirs), pairs, name)
        for name, mine, theirs in common_columns(here, there)
    ]


@frozen
class _Sides:
    """A column on each side. What is better comes first on both: signs follow the direction."""

    here: Results
    there: Results
    mine: Column
    theirs: Column

    def levels(self) -> tuple[Floats, Floats]:
        """Of all methods."""
        return (
            cost(self.here.level(self.mine.name), self.mine),
            cost(self.there.level(self.theirs.name), self.theirs),
        )

    def drawn(self) -> tuple[Floats, Floats]:
        """Over draws of prompts, ``[draw, method]``; the same prompts are drawn together."""
        seed = SEED if self.here.prompts == self.there.prompts else SEED + 1
        return (
            cost(drawn_levels(self.here, self.mine.name, DRAWS), self.mine),
            cost(drawn_levels(self.there, self.theirs.name, DRAWS, seed), self.theirs),
        )

    @property
    def has_draws(self) -> bool:
        """Whether drawing prompts can change anything: peaks and published means stay."""
        sides = ((self.here, self.mine), (self.there, self.theirs))
        return any(len(r.prompts) > 1 and c.over_prompts == "mean" for r, c in sides)


def _agreement(sides: _Sides, pairs: Sequence[Pair], name: str) -> Agreement:
    x, y = sides.levels()
    known = [(i, j) for i, j in pairs if np.isfinite(x[i]) and np.isfinite(y[j])]
    rows, others = [i for i, _ in known], [j for _, j in known]
    found = Agreement(
        name=name,
        here=sides.mine,
        there=sides.theirs,
        methods=tuple(sides.here.names[i] for i in rows),
        ranks=_ranks(x[rows], y[others]),
        pearson=None,
        spearman=Estimate(None, n=len(known)),
    )
    pearson = float(_correlation(x[rows], y[others])) if len(known) >= FEWEST else np.nan
    if np.isnan(pearson):
        return found
    return evolve(found, pearson=pearson, spearman=_spearman(sides, rows, others))


def ranks(values: Floats) -> Floats:
    """Ranks along the last axis, from 1 for the smallest; ties share their mean rank."""
    mine, others = values[..., :, None], values[..., None, :]
    found: Floats = (others < mine).sum(axis=-1) + ((others == mine).sum(axis=-1) + 1) / 2
    return found


def _ranks(x: Floats, y: Floats) -> tuple[tuple[float, float], ...]:
    return tuple(zip(ranks(x).tolist(), ranks(y).tolist(), strict=True))


def _spearman(sides: _Sides, rows: list[int], others: list[int]) -> Estimate:
    x, y = sides.levels()
    rho = float(_correlation(ranks(x[rows]), ranks(y[others])))
    if not sides.has_draws:
        return Estimate(rho, n=len(rows))
    drawn_x, drawn_y = sides.drawn()
    drawn_x, drawn_y = drawn_x[:, rows], drawn_y[:, others]
    whole = np.isfinite(drawn_x).all(axis=1) & np.isfinite(drawn_y).all(axis=1)
    drawn = _correlation(ranks(drawn_x[whole]), ranks(drawn_y[whole]))
    drawn = drawn[np.isfinite(drawn)]
    if not len(drawn):
        return Estimate(rho, n=len(rows))
    tail = (100 - LEVEL) / 2
    low, high = np.percentile(drawn, [tail, 100 - tail])
    return Estimate(rho, float(low), float(high), len(rows))


def _correlation(x: Floats, y: Floats) -> Floats:
    """Pearson's r over the last axis; NaN where one side is constant."""
    varies = (np.ptp(x, axis=-1) > 0) & (np.ptp(y, axis=-1) > 0)
    x = x - x.mean(axis=-1, keepdims=True)
    y = y - y.mean(axis=-1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        found = (x * y).sum(axis=-1) / np.sqrt((x**2).sum(axis=-1) * (y**2).sum(axis=-1))
    return np.where(varies, found, np.nan)
