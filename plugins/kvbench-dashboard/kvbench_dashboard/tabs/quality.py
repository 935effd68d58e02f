"""Scores with their intervals, against BF16, and along the video."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from kvbench_dashboard import charts
from kvbench_dashboard.summary import difference_table, first_of, heading, level_table
from kvbench_dashboard.view import View, current, one_run, spread
from kvbench_report.results import Results

FIRST_SHOWN = 6


def show(view: View) -> None:
    """Choose a score; its levels or differences; its drift curves."""
    scores = {name: column for name, column in view.measured.items() if name in view.scores}
    if not scores:
        st.info("This run has no scores yet: `kvbench evaluate RUN` computes them.")
        return
    left, right = st.columns([2, 3])
    name = left.selectbox(
        "Score", list(scores), first_of(scores), lambda each: heading(scores[each])
    )
    with right:
        run = one_run(view)
        results = view.results(run)
        against = st.toggle("Difference to BF16", disabled=results.reference is None)
    _levels(results, name, against)
    _drift(view)


def _levels(results: Results, name: str, against: bool) -> None:
    column = results.columns[name]
    table = (difference_table if against else level_table)(results, name)
    table = table[np.isfinite(table["value"])].sort_values(
        "value", ascending=column.better == "lower"
    )
    if table.empty:
        st.info("No method has a finite figure here.")
        return
    title = f"{heading(column)}, {'minus BF16' if against else 'mean over prompts'}"
    st.vega_lite_chart(charts.forest(table, title, zero=against))
    st.caption("Lines are 95 % bootstrap intervals over prompts; BF16 is left out where its "
               "score against itself is infinite.")  # fmt: skip


def _drift(view: View) -> None:
    curved = list(dict.fromkeys(name for run in view.runs for name in run.curved))
    if not curved:
        return
    st.subheader("Drift")
    left, right = st.columns([2, 3])
    score = left.selectbox(
        "Score of growing prefixes", curved, first_of(curved),
        lambda each: heading(view.scores[each]),
    )  # fmt: skip
    made = view.made[view.made[score].notna()]
    names = list(dict.fromkeys(made["name"]))
    chosen = right.multiselect("Methods", names, spread(made, FIRST_SHOWN), key=f"drift {score}")
    cells = made[made["name"].isin(chosen)]
    pieces = [run.curves(cells.loc[cells["run"] == run.name, "cell"], score)
              for run in view.runs if score in run.curved]  # fmt: skip
    table = pd.concat(pieces).merge(cells[["cell", "name"]], on="cell")
    means = table.groupby(["name", "frames"], sort=False)["score"].mean().reset_index()
    means = means.rename(columns={"name": "method", "frames": "x", "score": "y"}).dropna()
    if means.empty:
        st.info("These methods have no drift curve.")
        return
    title = heading(view.scores[score])
    st.vega_lite_chart(
        charts.lines(means, "first frames of the video", f"{title}, mean over prompts", names)
    )


show(current())
