"""The four frontiers, under limits that the user sets."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from kvbench_dashboard.points import points, show_points
from kvbench_dashboard.recommendation import choose_preset
from kvbench_dashboard.summary import heading, scaled
from kvbench_dashboard.text import plain
from kvbench_dashboard.view import View, current, one_run
from kvbench_report.axes import DRIFT, PEAK, RATIO, RUNTIME, SSIM, column_for
from kvbench_report.display import MIB
from kvbench_report.frontier import FRONTIERS, Frontier, frontier
from kvbench_report.limits import Quantity, judge, named
from kvbench_report.recommend import PRESETS, calibrated, ranked
from kvbench_report.results import Column, Results

PLOTS = {
    "balanced": (RATIO, DRIFT),
    "compression": (RATIO, SSIM),
    "systems": (RATIO, PEAK),
    "quality": (RUNTIME, SSIM),
}
"""Across and up, as the study plots them."""
STEPS = 100


def show(view: View) -> None:
    """Choose a frontier; its picture and members; then limits and who meets them."""
    if view.made.empty:
        st.info("No cell has figures yet.")
        return
    left, right = st.columns([1, 2])
    with left:
        run = one_run(view)
        name = st.selectbox("Frontier", list(FRONTIERS), format_func=lambda n: FRONTIERS[n].title)
    results = view.results(run)
    found = _frontier(view.key(run), name, results)
    right.caption("Objectives: " + plain(", ".join(heading(c) for c in found.objectives)))
    for note in found.notes:
        right.caption(plain(note[:1].upper() + note[1:]))
    if not found.objectives:
        st.info("No objective of this frontier has a figure.")
        return
    _picture(view, results, found)
    _members(found)
    _under_limits(results)


@st.cache_data(max_entries=64, show_spinner=False)
def _frontier(key: tuple[object, ...], name: str, _results: Results) -> Frontier:  # noqa: ARG001
    """``key`` stands for the results."""
    return frontier(_results, name)


def _picture(view: View, results: Results, found: Frontier) -> None:
    """The study's plot of this frontier, or the first two objectives where it cannot be drawn."""
    x, y = (column_for(results, axis) for axis in PLOTS[found.name])
    if x is None or y is None:
        x, y = found.objectives[-1], found.objectives[0]
    roles = {
        name: "on the frontier" if not others else "dominated"
        for name, others in found.dominators.items()
    }
    show_points(points(view, results, x.name, y.name, roles), heading(x), heading(y))


def _members(found: Frontier) -> None:
    st.subheader("Who is on it")
    table = pd.DataFrame(
        {
            "method": name,
            "on the frontier": not others,
            "in draws of prompts": found.shares.get(name),
            "dominated by": ", ".join(others),
        }
        for name, others in found.dominators.items()
    )
    if not table.empty:
        table = table.sort_values("on the frontier", ascending=False, kind="stable")
    share = st.column_config.ProgressColumn(
        min_value=0, max_value=1, format="percent",
        help="how often it is on the frontier when the prompts are drawn anew, with replacement",
    )  # fmt: skip
    st.dataframe(table, hide_index=True, column_config={"in draws of prompts": share})
    for name, why in found.excluded.items():
        st.caption(f"{plain(name)} has no part: {plain(why)}")


def _under_limits(results: Results) -> None:
    st.subheader("Under limits")
    st.caption("At first the limits just let pass the three best methods of the chosen order.")
    preset = choose_preset("frontier preset")
    start = calibrated(results, preset)
    limits: dict[Quantity, float] = {}
    for place, quantity in zip(_places(len(start)), start, strict=True):
        column = column_for(results, quantity.axis)
        assert column is not None
        with place:
            limits |= _limit(results, quantity, column, start[quantity], preset)
    verdicts = judge(results, limits)
    order = ranked(results, PRESETS[preset], range(len(results.methods)))
    table = pd.DataFrame(
        {
            "method": results.names[row],
            "fits": not verdicts[row].reasons,
            "why not": "; ".join(verdicts[row].reasons),
            "doubts": "; ".join(verdicts[row].doubts),
        }
        for row in order
    ).sort_values("fits", ascending=False, kind="stable")
    st.markdown(f"**{int(table['fits'].sum())} of {len(table)} methods fit.**")
    st.dataframe(table, hide_index=True)


def _places(count: int) -> list[DeltaGenerator]:
    """Three in a row."""
    return [place for _ in range(0, count, 3) for place in st.columns(3)][:count]


def _limit(
    results: Results, quantity: Quantity, column: Column, start: float, preset: str
) -> dict[Quantity, float]:
    """A slider over the values that there are, or nothing where they are all one."""
    values = scaled(quantity.of(results, column), column)
    values = values[np.isfinite(values)]
    low, high = float(values.min()), float(values.max())
    if low == high:
        return {}
    step = (high - low) / STEPS
    most = quantity.is_capped(column)
    chosen = st.slider(
        f"{plain(named(quantity, column))} {'at most' if most else 'at least'}"
        f"{' (MiB)' if column.unit == 'bytes' else ''}",
        low - step, high + step, float(scaled(start, column)) + (step if most else -step) / 10,
        step=step / 10, format="%.4g", key=f"{quantity.axis.name} {quantity.kind} {preset}",
    )  # fmt: skip
    return {quantity: chosen * MIB if column.unit == "bytes" else chosen}


show(current())
