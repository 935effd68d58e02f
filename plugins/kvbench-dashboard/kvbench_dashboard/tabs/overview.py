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
        table if table["failed"].any() else table.drop(columns=["prompts", "failed"]),
        column_config=formats(view),
        hide_index=True,
        placeholder="-",
        height=min(len(table) + 1, ROWS_SHOWN) * ROW_HEIGHT,
    )
    st.subheader("Map")
    choose_scatter(view, key="overview")


def _headline(view: View) -> None:
    cells = view.cells
    made, failed = ((cells["status"] == status).sum() for status in ("ok", "failed"))
    line = f"{len(view.names)} methods, {cells['prompt'].nunique()} prompts, {made} videos"
    st.markdown(f"## {line}" + (f", :red[{failed} failed]" if failed else ""))


show(current())
