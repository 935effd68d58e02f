"""A finished run of the study's methods: figures by method, and their order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean

import click
import numpy as np
from attrs import evolve, field, frozen

from benchmarks.pages import Row, code
from benchmarks.stats import Interval, bootstrap, ranks, spearman
from kvbench_core.published import method_figures
from kvbench_core.report.table import Row as Line
from kvbench_core.report.table import build_table
from kvbench_core.run.store import RunStore

METRICS = {"ssim": 4, "psnr": 2}
"""Digits to show, by metric."""
MOST_DISPLACED = 8
RESAMPLES = 2000


@frozen(kw_only=True)
class Result:
    """A method's figures; ``scores`` by metric, over the prompts where it has one."""

    line: Line
    scores: Mapping[str, Interval] = field()
    ssim: Sequence[float] = ()
    """By prompt."""

    @property
    def method(self) -> str:
        """As it was asked for."""
        integration = self.line.integration
        return self.line.method + ("" if integration == "streaming" else f"@{integration}")


def results(store: RunStore, seed: int) -> list[Result]:
    """What a run directory holds, method by method."""
    values: dict[tuple[str, str], dict[str, list[float]]] = {}
    records, _ = store.cells(store.manifest())
    for record in sorted(records, key=lambda record: record.cell.prompt):
        mine = values.setdefault(record.cell.method.key, {})
        for score in store.scores(record.cell.id)[0]:
            for name in METRICS:
                value = score.values.get(name)
                if value is not None:
                    mine.setdefault(name, []).append(value)
    lines = {(line.method, line.integration): line for line in build_table(store).rows}
    return [
        Result(
            line=lines[method.label, method.integration],
            scores={
                name: bootstrap(found, seed=seed)
                for name, found in values.get(method.key, {}).items()
            },
            ssim=values.get(method.key, {}).get("ssim", ()),
        )
        for method in store.manifest().methods
        if (method.label, method.integration) in lines
    ]


def timed(found: Sequence[Result], clock: RunStore) -> list[Result]:
    """The same results with the runtimes of ``clock``'s run, none where it lacks the method."""
    lines = build_table(clock).rows
    times = {(line.method, line.integration): line.runtime_ratio for line in lines}
    return [
        evolve(
            each,
            line=evolve(
                each.line, runtime_ratio=times.get((each.line.method, each.line.integration))
            ),
        )
        for each in found
    ]


@frozen(kw_only=True)
class Order:
    """Methods with an SSIM here and a published one, the reference left out."""

    methods: Sequence[str]
    prompts: Sequence[Sequence[float]]
    """SSIM by method and prompt."""
    published: Sequence[float]

    @classmethod
    def of(
        cls, found: Sequence[Result], *, prompts: int = 0, without: tuple[str, ...] = ()
    ) -> Order:
        """Those whose published row has at least ``prompts`` prompts; ``without`` are prefixes."""
        figures = method_figures("moviegen")
        both = [
            (result.method, result.ssim, figures[result.method].ssim)
            for result in found
            if not result.line.is_reference
            and result.ssim
            and result.method in figures
            and figures[result.method].prompts >= prompts
            and not result.method.startswith(without)
        ]
        return cls(
            methods=[name for name, _, _ in both],
            prompts=[values for _, values, _ in both],
            published=[there for _, _, there in both],
        )

    @property
    def here(self) -> list[float]:
        """Mean SSIM by method."""
        return [fmean(values) for values in self.prompts]

    def correlation(self, seed: int) -> Interval:
        """Spearman's, with its interval over resampled prompts."""
        if len({len(values) for values in self.prompts}) != 1:
            raise click.ClickException("methods have different numbers of prompts; resume the run")
        known = np.asarray(self.prompts)
        drawn = np.random.default_rng(seed).integers(
            known.shape[1], size=(RESAMPLES, known.shape[1])
        )
        found = [spearman(list(known[:, draw].mean(axis=1)), self.published) for draw in drawn]
        low, high = np.percentile(found, [2.5, 97.5])
        return Interval(spearman(self.here, self.published), float(low), float(high))

    def displaced(self) -> list[Row]:
        """The methods whose ranks differ most; rank 1 is the most faithful."""
        mine, theirs = (ranks([-x for x in column]) for column in (self.here, self.published))
        rows: list[Row] = [
            {
                "method": code(name),
                "SSIM here": f"{here:.4f}",
                "rank here": f"{rank:g}",
                "published SSIM": f"{there:.4f}",
                "published rank": f"{other:g}",
                "places gained": f"{other - rank:+g}",
            }
            for name, here, there, rank, other in zip(
                self.methods, self.here, self.published, mine, theirs, strict=True
            )
        ]
        return sorted(rows, key=lambda row: -abs(float(str(row["places gained"]))))[:MOST_DISPLACED]
