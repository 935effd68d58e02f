"""Methods as points between two columns."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import streamlit as st

from kvbench_dashboard import charts
from kvbench_dashboard.summary import heading, level_table, scaled
from kvbench_dashboard.text import plain
from kvbench_dashboard.view import View
from kvbench_report.axes import costs
from kvbench_report.frontier import dominance
from kvbench_report.results import Results

Y_FIRST = ("ssim", "psnr", "peak_bytes")
"""The first of these that the run has is shown at first."""

ROOM = (0.17, 0.035)
"""What a label takes of the chart's width and height."""


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
    tables = [_on_the_edge(view, view.results(run), across, up) for run in view.runs]
    show_points(pd.concat(tables, ignore_index=True), named(across), named(up))
    st.caption("Circles with names: no other method is better on both axes. Names of the others "
               "show at the pointer; the wheel zooms.")  # fmt: skip


def _on_the_edge(view: View, results: Results, x: str, y: str) -> pd.DataFrame:
    """Points whose roles are about these two axes alone."""
    table = np.stack([costs(results, results.columns[name]) for name in (x, y)], axis=-1)
    rows: list[int] = np.flatnonzero(np.isfinite(table).all(axis=-1)).tolist()
    beaten = dominance(table[rows])
    roles = {
        results.names[row]: "dominated" if beaten[:, place].any() else "on the frontier"
        for place, row in enumerate(rows)
    }
    return points(view, results, x, y, roles)


def show_points(table: pd.DataFrame, x: str, y: str) -> None:
    """The chart, and which methods have no place on it."""
    finite = table[np.isfinite(table[["x", "y"]]).all(axis="columns")]
    if finite.empty:
        st.info("No method has both figures.")
        return
    st.vega_lite_chart(charts.scatter(finite.assign(label=_labels(finite)), x, y))
    absent = table.loc[~table.index.isin(finite.index), "method"]
    if len(absent):
        st.caption(f"Without a finite figure on both axes: {plain(', '.join(absent))}")


def points(view: View, results: Results, x: str, y: str, roles: Mapping[str, str]) -> pd.DataFrame:
    """The table that a scatter chart needs, with the methods' ``roles`` on a frontier."""
    table = level_table(results, y).rename(columns={"value": "y"})
    table["x"] = scaled(results.level(x), results.columns[x])
    table["family"] = table["method"].map(view.families)
    table["role"] = [
        "BF16" if method.is_reference else roles.get(method.name, "without figures")
        for method in results.methods
    ]
    return table


def _labels(table: pd.DataFrame) -> list[str]:
    """Names where there is room for them, those of the dominated left out."""
    top, bottom = table[["y", "high"]].max().max(), table[["y", "low"]].min().min()
    extent = pd.Series({"x": table["x"].max() - table["x"].min(), "y": top - bottom}).replace(0, 1)
    places = (table[["x", "y"]] / extent).to_numpy()
    taken: list[int] = []
    for row, role in enumerate(table["role"]):
        apart = np.abs(places[taken] - places[row])
        if role != "dominated" and (apart > ROOM).any(axis=1).all():
            taken.append(row)
    return [name if row in taken else "" for row, name in enumerate(table["method"])]
