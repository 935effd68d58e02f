"""Videos of one prompt, side by side and in step."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from kvbench_core.errors import KvbenchError
from kvbench_core.run.records import CellRecord
from kvbench_core.run.store import RunStore
from kvbench_dashboard import charts
from kvbench_dashboard.player import Clip, show_player
from kvbench_dashboard.results import FIGURE_OF
from kvbench_dashboard.summary import MAIN, first_of, formats, heading, scaled, whole
from kvbench_dashboard.view import View, current, spread

FIRST_SHOWN = 3
LARGEST_EXACT_PIXELS = 200_000
"""Larger pictures are played from compressed copies."""


def show(view: View) -> None:
    """Choose a prompt and methods, and play them."""
    left, right = st.columns([2, 3])
    prompt = left.selectbox(
        "Prompt", list(dict.fromkeys(view.cells["prompt"])),
        format_func=lambda name: f"{name} · {view.prompts[name]}",
    )  # fmt: skip
    cells = view.cells[view.cells["prompt"] == prompt]
    references, others = cells[cells["is_reference"]], cells[~cells["is_reference"]]
    names = list(others["name"])
    chosen = right.multiselect("Methods beside BF16", names, spread(others, FIRST_SHOWN))
    shown = pd.concat([references, others[others["name"].isin(chosen)]])
    if shown.empty:
        st.info("No cell of this prompt has been made yet.")
        return
    places = {run: place for place, run in enumerate(references["run"])}
    show_player(
        [_clip(view, cell, places.get(cell["run"])) for _, cell in shown.iterrows()],
        key="player",
    )
    _scores(view, shown)
    _frame_by_frame(view, shown)


def _clip(view: View, cell: pd.Series, reference: int | None) -> Clip:
    run = view.run(cell["run"])
    store = RunStore(run.root)
    label = cell["name"]
    try:
        record = store.cell(cell["cell"])
    except KvbenchError as error:
        return Clip(label=label, problem=str(error))
    problem = _problem(record, store)
    if problem or record is None or record.video is None:
        return Clip(label=label, problem=problem)
    video = record.video
    return Clip(
        label=label,
        note=_note(cell),
        url=f"frames/{run.place}/{record.cell.id}/?video={video.sha256[:16]}",
        frames=video.frames,
        width=video.width,
        height=video.height,
        fps=video.fps,
        light=video.width * video.height > LARGEST_EXACT_PIXELS,
        reference=None if cell["is_reference"] else reference,
    )


def _scores(view: View, shown: pd.DataFrame) -> None:
    """This prompt's figures of the methods that are shown."""
    names = [*MAIN, *whole(view.scores)]
    columns = [view.measured[name] for name in names if name in view.measured]
    table = pd.DataFrame({"method": shown["name"]})
    for column in columns:
        table[heading(column)] = scaled(shown[FIGURE_OF.get(column.name, column.name)], column)
    st.dataframe(table, hide_index=True, placeholder="-", column_config=formats(view))


def _frame_by_frame(view: View, shown: pd.DataFrame) -> None:
    """Scores of single frames, where a metric gives them."""
    tables = []
    for _, cell in shown.iterrows():
        for score in RunStore(view.run(cell["run"]).root).scores(cell["cell"])[0]:
            for name, values in score.per_frame.items():
                frames = pd.DataFrame({"x": range(1, len(values) + 1), "y": values}, dtype=float)
                tables.append(frames.assign(method=cell["name"], score=name))
    if not tables:
        return
    table = pd.concat(tables).dropna()
    st.subheader("Frame by frame")
    names = list(dict.fromkeys(table["score"]))

    def titled(name: str) -> str:
        return heading(view.scores[name]) if name in view.scores else name

    name = st.selectbox("Score", names, first_of(names), titled)
    wanted = table[(table["score"] == name) & np.isfinite(table["y"])]
    table = wanted.drop(columns="score")
    st.vega_lite_chart(charts.lines(table, "frame", titled(name), list(shown["name"])))


def _problem(record: CellRecord | None, store: RunStore) -> str | None:
    if record is None:
        return "The cell's record is not there."
    if record.error is not None:
        return f"This cell failed: {record.error.type}: {record.error.message}"
    if record.video is None or not store.video_path(record.cell.id).is_file():
        return f"videos/{record.cell.id}.mp4 is not there."
    return None


def _note(cell: pd.Series) -> str:
    ratio = cell["compression_ratio"]
    return "" if pd.isna(ratio) or cell["is_reference"] else f"compression {ratio:.2f} x"


show(current())
