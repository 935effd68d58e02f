"""Memory and time: over the chunks of a rollout, and where the time goes."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from kvbench_dashboard import charts
from kvbench_dashboard.view import View, current, spread
from kvbench_report.display import MIB

TRACES = {
    "kv_stored_bytes": ("KV cache stored", "MiB", MIB),
    "memory_bytes": ("Memory in use", "MiB", MIB),
    "chunk_s": ("Time of a chunk", "s", 1),
    "saved": ("Stored of dense bf16", "share", 1),
}
FIRST_SHOWN = 6


def show(view: View) -> None:
    """Traces of chosen methods on one prompt, then the parts of the runtime."""
    if view.made.empty:
        st.info("No cell has figures yet.")
        return
    left, middle, right = st.columns([2, 2, 3])
    trace = left.selectbox("Trace", list(TRACES), format_func=lambda name: TRACES[name][0])
    prompts = list(dict.fromkeys(view.made["prompt"]))
    prompt = middle.selectbox(
        "Prompt", prompts, format_func=lambda name: f"{name} · {view.prompts[name]}"
    )
    made = view.made[view.made["prompt"] == prompt]
    names = list(made["name"])
    chosen = right.multiselect("Methods", names, spread(made, FIRST_SHOWN), key="traced")
    _trace(view, made[made["name"].isin(chosen)], trace)
    st.subheader("Where the time goes")
    _parts(view)


def _trace(view: View, cells: pd.DataFrame, trace: str) -> None:
    title, unit, divisor = TRACES[trace]
    table = pd.concat([run.traces(cells.loc[cells["run"] == run.name, "cell"])
                       for run in view.runs])  # fmt: skip
    table["saved"] = table["kv_stored_bytes"] / table["kv_dense_bytes"]
    table["method"] = table["cell"].map(dict(zip(cells["cell"], cells["name"], strict=True)))
    table = table.assign(x=table["step"], y=table[trace] / divisor).dropna(subset="y")
    if table.empty:
        st.info("These cells have no such trace.")
        return
    table = table[["method", "x", "y"]]
    st.vega_lite_chart(charts.lines(table, "chunk", f"{title} ({unit})", view.names, True))


def _parts(view: View) -> None:
    made = view.made
    coding = made["encode_s"] + made["decode_s"]
    parts = pd.DataFrame(
        {
            "method": made["name"],
            "coding into the cache": made["encode_s"],
            "decoding out of it": made["decode_s"],
            "everything else": (made["wall_s"] - coding).clip(lower=0),
        }
    )
    means = parts.groupby("method", sort=False).mean()
    long = means.reset_index().melt("method", var_name="part", value_name="value")
    long["place"] = long["part"].map({part: place for place, part in enumerate(means)})
    st.vega_lite_chart(charts.bars(long, "runtime (s), mean over prompts"))


show(current())
