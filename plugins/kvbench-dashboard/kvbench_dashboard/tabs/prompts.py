"""Prompts: which are hard, and for whom."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from kvbench_dashboard import charts
from kvbench_dashboard.results import FIGURE_OF
from kvbench_dashboard.summary import first_of, heading, scaled
from kvbench_dashboard.view import View, current


def show(view: View) -> None:
    """Choose a figure; methods by prompts; the prompts' texts."""
    columns = view.measured
    if not columns:
        st.info("No cell has figures yet.")
        return
    names = list(columns)
    chosen = st.selectbox("Figure", names, first_of(names), lambda name: heading(columns[name]))
    column = columns[chosen]
    made = view.made
    values = scaled(made[FIGURE_OF.get(chosen, chosen)], column)
    table = pd.DataFrame({"method": made["name"], "prompt": made["prompt"], "value": values})
    table = table.dropna()
    if not table.empty:
        st.vega_lite_chart(charts.heatmap(table, heading(column), column.better))
    st.subheader("Prompts")
    st.dataframe(_texts(view, table), hide_index=True)


def _texts(view: View, table: pd.DataFrame) -> pd.DataFrame:
    ids = list(dict.fromkeys(view.cells["prompt"]))
    found = table[~table["method"].isin(view.references)].groupby("prompt")["value"]
    texts = pd.DataFrame({"prompt": ids, "text": [view.prompts[prompt] for prompt in ids]})
    for name, summary in (
        ("mean", found.mean()),
        ("lowest", found.min()),
        ("highest", found.max()),
    ):
        texts[name] = texts["prompt"].map(summary)
    return texts


show(current())
