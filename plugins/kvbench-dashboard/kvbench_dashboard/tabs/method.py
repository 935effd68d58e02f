"""One method: what it is, how it differs from BF16, prompt by prompt."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from kvbench_dashboard.results import FIGURE_OF
from kvbench_dashboard.summary import difference_table, heading, level_table, scaled
from kvbench_dashboard.text import plain
from kvbench_dashboard.view import View, current
from kvbench_report.results import Column, Results

TOO_FEW = 2


def show(view: View) -> None:
    """Choose a method; its figures with intervals; its prompts."""
    names = [name for name in view.names if name not in view.references] or view.names
    if view.made.empty:
        st.info("No cell has figures yet.")
        return
    name = st.selectbox("Method", names)
    cells = view.cells[view.cells["name"] == name]
    run = view.run(cells["run"].iloc[0])
    results = view.results(run)
    st.code(cells["expression"].iloc[0], language=None, wrap_lines=True)
    _figures(results, name, list(view.measured))
    _prompts(view, results, name)


def _figures(results: Results, name: str, columns: list[str]) -> None:
    st.subheader("Against BF16")
    rows = []
    for column in (results.columns[each] for each in columns if each in results.columns):
        level = level_table(results, column.name).set_index("method").loc[name]
        row = {"figure": heading(column), "mean": level["value"], "mean ≥": level["low"],
               "mean ≤": level["high"]}  # fmt: skip
        apart = difference_table(results, column.name).set_index("method")
        if name in apart.index:
            row |= {"BF16": _reference(results, column), "difference": apart.loc[name, "value"],
                    "difference ≥": apart.loc[name, "low"], "difference ≤": apart.loc[name, "high"],
                    "verdict": _verdict(apart.loc[name], column)}  # fmt: skip
        rows.append(row | {"prompts": level["n"]})
    number = st.column_config.NumberColumn(format="%.4g")
    table = pd.DataFrame(rows)
    numbers = [c for c in table if c not in ("figure", "verdict", "prompts")]
    st.dataframe(table, hide_index=True, height="content", placeholder="-",
                 column_config=dict.fromkeys(numbers, number))  # fmt: skip
    st.caption(
        "Differences are paired by prompt. Intervals are 95 % bootstrap intervals over prompts; "
        "peaks are maxima and have none. Unclear: the difference's interval contains 0."
    )


def _reference(results: Results, column: Column) -> float:
    assert results.reference is not None
    return float(scaled(results.level(column.name)[results.reference], column))


def _verdict(apart: pd.Series, column: Column) -> str:
    if pd.isna(apart["low"]):
        return ""
    if apart["low"] <= 0 <= apart["high"]:
        return "unclear"
    better = (apart["value"] > 0) == (column.better == "higher")
    return "better" if better else "worse"


def _prompts(view: View, results: Results, name: str) -> None:
    st.subheader("Prompt by prompt")
    columns = view.measured
    chosen = st.selectbox("Figure", list(columns), format_func=lambda c: heading(columns[c]))
    column = columns[chosen]
    source = FIGURE_OF.get(chosen, chosen)
    mine = view.made[view.made["name"] == name]
    table = pd.DataFrame({"prompt": mine["prompt"], "text": mine["prompt"].map(view.prompts)})
    table[heading(column)] = scaled(mine[source], column)
    references = view.made[view.made["is_reference"] & (view.made["run"] == results.title)]
    baseline = references.set_index("prompt")[source]
    table["BF16"] = scaled(table["prompt"].map(baseline), column)
    st.dataframe(table, hide_index=True)
    if len(mine) < TOO_FEW:
        st.caption("One prompt says little: no interval can be given.")
    st.caption(f"{plain(name)}: {len(mine)} prompts with figures.")


show(current())
