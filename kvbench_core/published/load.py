"""The files under ``data`` as records."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Literal, TypeVar

from attrs import fields

from kvbench_core.published.records import DriftPoint, LayerBudget, MethodFigures, TracePeak

Benchmark = Literal["moviegen", "storyeval"]
BENCHMARKS: tuple[Benchmark, ...] = ("moviegen", "storyeval")

_COLUMNS = {"psnr_db": "psnr"}
"""Columns that we call otherwise: ours to the file's; ``_gib`` is ``_gb`` there."""

RecordT = TypeVar("RecordT", MethodFigures, LayerBudget, DriftPoint, TracePeak)


@cache
def method_figures(benchmark: Benchmark) -> dict[str, MethodFigures]:
    """The main table by method: 33 methods on MovieGen, 30 on StoryEval."""
    return {row.method: row for row in _records(MethodFigures, f"{benchmark}.csv")}


@cache
def layer_budgets(benchmark: Benchmark) -> tuple[LayerBudget, ...]:
    """The budgets of the 30 layers, in order."""
    return tuple(_records(LayerBudget, "layer_budgets.csv", benchmark))


@cache
def drift_curve(benchmark: Benchmark, method: str) -> tuple[DriftPoint, ...]:
    """A method's points by length of the prefix; empty where there are none."""
    points = _records(DriftPoint, "drift_curves.csv", benchmark)
    mine = (point for point in points if point.method == method)
    return tuple(sorted(mine, key=lambda point: point.prefix_frames))


@cache
def trace_peaks(benchmark: Benchmark) -> dict[str, TracePeak]:
    """The peaks of the memory traces by method."""
    return {row.method: row for row in _records(TracePeak, "trace_peaks.csv", benchmark)}


def _records(
    kind: type[RecordT], file: str, benchmark: Benchmark | None = None
) -> Iterator[RecordT]:
    text = (files("kvbench_core.published") / "data" / file).read_text(encoding="utf-8")
    for row in csv.DictReader(text.splitlines()):
        if benchmark is None or row["benchmark"] == benchmark:
            yield kind(**{each.name: row[_column(each.name)] for each in fields(kind)})


def _column(name: str) -> str:
    return _COLUMNS.get(name, name.replace("_gib", "_gb"))
