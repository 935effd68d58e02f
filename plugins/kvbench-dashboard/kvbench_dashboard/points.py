"""Methods as points between two columns that the user chooses."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import streamlit as st

from kvbench_dashboard import charts
from kvbench_dashboard.summary import heading, level_table, scaled
from kvbench_dashboard.text import plain
from kvbench_dashboard.view import View
from kvbench_report.results import Results

Y_FIRST = ("ssim", "psnr", "peak_bytes")
"""The first of these that the run has is shown at first."""


def choose_scatter(view: View, key: str, x: str = "compression_ratio") -> None:
    """Two select boxes and the chart of what they say."""
    known = view.measured
    names = list(known)
    first = next((name for name in Y_FIRST if name in known), names[-1])

    def named(name: str) -> str:
        return heading(known[name])

    left, right = st.columns(2)
    across = left.selectbox("Across", names, names.index(x), named, key=f"{key} x")
    up = right.selectbox("Up", names, names.index(first), named, key=f"{key} y")
    tables = [points(view, view.results(run), across, up) for run in view.runs]
    show_points(pd.concat(tables, ignore_index=True), named(across), named(up))


def show_points(table: pd.DataFrame, x: str, y: str) -> None:
    """The chart, and which methods have no place on it."""
    finite = table[np.isfinite(table[["x", "y"]]).all(axis="columns")]
    if finite.empty:
        st.info("No method has both figures.")
        return
    st.altair_chart(charts.scatter(finite, x, y))
    absent = table.loc[~table.index.isin(finite.index), "method"]
    if len(absent):
        st.caption(f"Without a finite figure on both axes: {plain(', '.join(absent))}")


def points(
    view: View, results: Results, x: str, y: str, roles: Mapping[str, str] | None = None
) -> pd.DataFrame:
    """The table that a scatter chart needs; ``roles`` of methods, if they have any."""
    table = level_table(results, y).rename(columns={"value": "y"})
    table["x"] = scaled(results.level(x), results.columns[x])
    table["family"] = table["method"].map(view.families)
    table["role"] = [
        "BF16" if method.is_reference else (roles or {}).get(method.name, "method")
        for method in results.methods
    ]
    return table
