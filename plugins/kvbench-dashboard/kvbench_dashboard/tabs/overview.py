"""What the run says: recommendations, every method in one table, a map."""

from __future__ import annotations

import streamlit as st

from kvbench_dashboard.points import choose_scatter
from kvbench_dashboard.recommendation import show_cards
from kvbench_dashboard.summary import formats, methods_table
from kvbench_dashboard.view import View, current

ROW_HEIGHT, ROWS_SHOWN = 35, 21


def show(view: View) -> None:
    """What failed, cards, table, one chart."""
    failed = (view.cells["status"] == "failed").sum()
    if failed:
        st.warning(f"{failed} of {len(view.cells)} cells failed; Provenance says why.")
    if view.made.empty:
        st.info("No cell has figures yet.")
        return
    show_cards(view)
    st.subheader("Methods")
    table = methods_table(view)
    st.dataframe(
        table if table["failed"].any() else table.drop(columns=["prompts", "failed"]),
        column_config=formats(view),
        hide_index=True,
        placeholder="-",
        height=min(len(table) + 1, ROWS_SHOWN) * ROW_HEIGHT,
    )
    st.subheader("Map")
    choose_scatter(view, key="overview")


show(current())
