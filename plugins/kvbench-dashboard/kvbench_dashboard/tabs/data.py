"""The whole table, to look through and to take away."""

from __future__ import annotations

import streamlit as st

from kvbench_dashboard.view import View, current

INTERNAL = ("method_place", "prompt_place")


def show(view: View) -> None:
    """Every chosen cell with every figure."""
    table = view.cells.drop(columns=list(INTERNAL)).dropna(axis="columns", how="all")
    first = ["run", "name", "prompt", "status"]
    table = table[[*first, *(name for name in table if name not in first)]]
    st.caption(f"{len(table)} cells; bytes and seconds, not rounded. The sidebar filters them.")
    st.dataframe(table, hide_index=True, height=620)
    st.download_button(
        "Download as CSV", lambda: table.to_csv(index=False), "cells.csv", "text/csv",
    )  # fmt: skip


show(current())
