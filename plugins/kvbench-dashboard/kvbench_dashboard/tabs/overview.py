"""What the run says: headline figures, recommendations, every method in one table."""

from __future__ import annotations

import streamlit as st

from kvbench_dashboard.points import choose_scatter
from kvbench_dashboard.recommendation import show_cards
from kvbench_dashboard.summary import formats, methods_table
from kvbench_dashboard.view import View, current

ROW_HEIGHT, ROWS_SHOWN = 35, 21


def show(view: View) -> None:
    """Headline, cards, table, one chart."""
    _headline(view)
    if view.made.empty:
        st.info("No cell has figures yet.")
        return
    show_cards(view)
    st.subheader("Methods")
    table = methods_table(view)
    st.dataframe(
        table if table["failed"].any() else table.drop(columns="failed"),
        column_config=formats(view),
        hide_index=True,
        height=min(len(table) + 1, ROWS_SHOWN) * ROW_HEIGHT,
    )
    st.subheader("Map")
    choose_scatter(view, key="overview")


def _headline(view: View) -> None:
    cells = view.cells
    failed = int((cells["status"] == "failed").sum())
    columns = st.columns(4)
    columns[0].metric("Methods", len(view.names))
    columns[1].metric("Prompts", cells["prompt"].nunique())
    columns[2].metric("Videos", int((cells["status"] == "ok").sum()))
    columns[3].metric("Failed", failed)


show(current())
