"""The whole table, to look through and to take away."""

from __future__ import annotations

import streamlit as st

from kvbench_dashboard.view import View, current

INTERNAL = ("method_place", "prompt_place")


def show(view: View) -> None:
    """Every chosen cell with every figure."""
    table = view.cells.drop(columns=list(INTERNAL)).dropna(axis="columns", how="all")
    first = ["run", "name", "prompt", "status"]
    rest = table.drop(columns=first)
    numbers = list(rest.select_dtypes("number"))
    table = table[[*first, *numbers, *(name for name in rest if name not in numbers)]]
    st.caption(f"{len(table)} cells; bytes and seconds, not rounded. The sidebar filters them.")
    st.dataframe(table, hide_index=True, height=620)
    st.download_button(
        "Download as CSV", lambda: table.to_csv(index=False), "cells.csv", "text/csv",
    )  # fmt: skip


show(current())
