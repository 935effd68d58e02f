"""One run as figures, tables and the page look at it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from attrs import frozen

from kvbench_core.report.collect import Collected, collect
from kvbench_core.run.records import CellRecord
from kvbench_core.run.store import RunStore
from kvbench_report.axes import DRIFT, column_for
from kvbench_report.display import DERIVED, Display
from kvbench_report.families import families
from kvbench_report.figures.key import Named
from kvbench_report.results import MethodInfo, Results
from kvbench_report.run_results import run_results

PARTS = ("generation_peak_bytes", "decoding_peak_bytes", "encode_s", "decode_s")
SIZES = ("compression_ratio", "stored_bytes")
"""Columns that hardly depend on the prompt."""
QUALITY = ("imaging_quality", "ssim", "piqe")
"""What stands for quality where one figure must: the first that was measured."""


def is_drift(column: str) -> bool:
    """Whether a column is the end or the slope of a curve over growing prefixes."""
    return column.endswith(tuple(DERIVED))


@frozen(eq=False)
class Subject:
    """A run's results, the records behind them, and each method's family."""

    store: RunStore
    found: Collected
    results: Results
    families: Mapping[str, str]

    @classmethod
    def read(cls, root: Path) -> Subject:
        """A run directory.

        Raises:
            KvbenchError: it is none, or a later kvbench wrote it.
        """
        from kvbench_core.registry import build_registry

        store = RunStore.open(root)
        found = collect(store)
        results = run_results(found, title=root.resolve().name)
        return cls(store, found, results, families(results.methods, build_registry()))

    @property
    def quality(self) -> str | None:
        """The column that stands for quality; ``None`` if none was computed."""
        return next((name for name in QUALITY if self.measured(name)), None)

    @property
    def columns(self) -> list[str]:
        """The columns in which something was measured."""
        return [name for name in self.results.columns if self.measured(name)]

    @property
    def main_columns(self) -> list[str]:
        """Those of a table that is to be read at once: no parts, no drift beside the axis's."""
        drift = column_for(self.results, DRIFT)
        shown = {drift.name} if drift and not self._repeats(drift.name) else set()
        return [
            name
            for name in self.columns
            if name not in PARTS and (not is_drift(name) or name in shown)
        ]

    @property
    def varying_columns(self) -> list[str]:
        """Those whose means over prompts have intervals worth reading."""
        results = self.results
        return [
            name
            for name in self.columns
            if name not in SIZES
            and results.columns[name].over_prompts == "mean"
            and not self._repeats(name)
        ]

    def _repeats(self, column: str) -> bool:
        """Whether it is the end of a curve that ends in its own score, as a mean of frames does."""
        values, base = self.results.values, column.removesuffix("_drift_last")
        if base == column or base not in values:  # a metric may name a column so
            return False
        return bool(np.allclose(values[column], values[base], equal_nan=True))

    def measured(self, column: str) -> bool:
        """Whether any method has a finite value."""
        values = self.results.values.get(column)
        return values is not None and bool(np.isfinite(values).any())

    def display(self, column: str) -> Display:
        """How a column is written."""
        return Display.of(self.results.columns[column], self.results.values[column])

    def named(self, row: int) -> Named:
        """A method's identity in figures: rows are numbered from 1."""
        method = self.results.methods[row]
        return Named(
            number=row + 1,
            method=method.name,
            family=self.families[method.name],
            reference=method.is_reference,
        )

    def records(self, method: MethodInfo) -> Iterator[CellRecord]:
        """A method's cells that were made, in the order of prompts."""
        order = {prompt: place for place, prompt in enumerate(self.results.prompts)}
        mine = (
            record
            for record in self.found.records
            if record.cell.method.key == (method.expression, method.integration) and record.figures
        )
        yield from sorted(mine, key=lambda record: order[record.cell.prompt])
