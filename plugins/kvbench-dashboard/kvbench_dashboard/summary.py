"""Tables of methods: levels, and differences to BF16, with their intervals."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from kvbench_dashboard.results import columns_of
from kvbench_dashboard.view import View
from kvbench_report.display import MIB, display_name
from kvbench_report.results import Column, Results
from kvbench_report.stats import Estimate, differences, estimates

MAIN = ("compression_ratio", "stored_bytes", "peak_bytes", "runtime_s")
FORMATS = {"x": "%.2f x", "bytes": "%.1f", "s": "%.2f", "dB": "%.2f", "": "%.4f"}
ARROWS = {"higher": "↑", "lower": "↓"}


def scaled(values: Any, column: Column) -> Any:
    """``values`` in the unit that :func:`heading` names: bytes become MiB."""
    return values / MIB if column.unit == "bytes" else values


def whole(scores: Iterable[str]) -> list[str]:
    """Those of whole videos: without what derives from drift curves."""
    return [name for name in scores if "_drift_" not in name]


def first_of(names: Collection[str]) -> int:
    """The place of the score to show at first."""
    return next((list(names).index(name) for name in ("ssim", "psnr") if name in names), 0)


def heading(column: Column) -> str:
    """Name, unit and direction."""
    unit = "MiB" if column.unit == "bytes" else column.unit
    return " ".join(filter(None, [display_name(column), unit, ARROWS[column.better]]))


def methods_table(view: View) -> pd.DataFrame:
    """Every chosen method with its level in the main figures and all scores of whole videos."""
    tables = [_levels(view.results(run), [*MAIN, *whole(run.scores)]) for run in view.runs]
    return pd.concat(tables, ignore_index=True)


def _levels(results: Results, names: Sequence[str]) -> pd.DataFrame:
    table = pd.DataFrame({"method": results.names})
    table["prompts"] = [method.prompts for method in results.methods]
    table["failed"] = [method.failed for method in results.methods]
    for name in names:
        column = results.columns[name]
        table[heading(column)] = scaled(results.level(name), column)
        if name == "runtime_s" and results.reference is not None:
            runtime = results.level(name)
            table["x BF16"] = runtime / runtime[results.reference]
    return table


def formats(view: View) -> dict[str, Any]:
    """How the columns of :func:`methods_table` are written."""
    columns = [column for run in view.runs for column in columns_of(run).values()]
    numbers = {
        heading(column): st.column_config.NumberColumn(
            format=FORMATS.get(column.unit, "%.3f"), help=column.summary or None
        )
        for column in columns
    }
    text = st.column_config.TextColumn("method", pinned=True)
    ratio = st.column_config.NumberColumn(
        format="%.2f", help="runtime over that of BF16, means over prompts"
    )
    return {"method": text, "x BF16": ratio, **numbers}


def level_table(results: Results, name: str) -> pd.DataFrame:
    """Each method's level in one column: ``method``, ``value``, ``low``, ``high``, ``n``."""
    return _table(results.names, estimates(results, name), results.columns[name])


def difference_table(results: Results, name: str) -> pd.DataFrame:
    """Each method minus BF16, paired by prompt; empty without BF16."""
    if results.reference is None:
        return _table((), (), results.columns[name])
    found = differences(results, name, results.reference)
    return _table(results.names, found, results.columns[name])


def _table(names: Sequence[str], found: Sequence[Estimate], column: Column) -> pd.DataFrame:
    numbers = {
        part: [np.nan if value is None else scaled(value, column) for value in values]
        for part, values in (
            ("value", [each.value for each in found]),
            ("low", [each.low for each in found]),
            ("high", [each.high for each in found]),
        )
    }
    return pd.DataFrame({"method": list(names), **numbers, "n": [each.n for each in found]})
