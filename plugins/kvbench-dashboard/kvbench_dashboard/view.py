"""What is looked at: the sidebar's choice of runs, methods and prompts."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
import streamlit as st
from attrs import frozen

from kvbench_core.errors import KvbenchError
from kvbench_dashboard.data import Run, read_run
from kvbench_dashboard.opened import RUNS_KEY, chosen_runs, runs_by_name
from kvbench_dashboard.results import FIGURE_OF, columns_of, results_of
from kvbench_dashboard.table import fingerprint
from kvbench_dashboard.text import plain
from kvbench_report.results import Column, Results

KEY = "view"


@frozen(kw_only=True, eq=False)
class View:
    """The chosen runs, and of their cells those of the chosen methods and prompts.

    The reference's cells are always among them. ``cells`` is :attr:`Run.cells`; where several
    runs are compared, ``name`` tells whose method it is. ``prompts`` are texts by id.
    """

    runs: tuple[Run, ...]
    cells: pd.DataFrame
    prompts: Mapping[str, str]

    @property
    def made(self) -> pd.DataFrame:
        """The cells that have figures."""
        return self.cells[self.cells["status"] == "ok"]

    @property
    def names(self) -> list[str]:
        """The chosen methods, in the order of the run, the reference first."""
        return list(dict.fromkeys(self.cells["name"]))

    @property
    def scores(self) -> dict[str, Column]:
        """Every score that a chosen run has, by name."""
        return {name: score for run in self.runs for name, score in run.scores.items()}

    @property
    def references(self) -> set[str]:
        """The uncompressed methods, one for each run that has it."""
        return set(self.cells.loc[self.cells["is_reference"], "name"])

    @property
    def families(self) -> dict[str, str]:
        """Each chosen method's family."""
        return dict(zip(self.cells["name"], self.cells["family"], strict=True))

    @property
    def measured(self) -> dict[str, Column]:
        """Every column in which some chosen cell has a figure."""
        made = self.made
        every = {name: column for run in self.runs for name, column in columns_of(run).items()}
        return {
            name: column
            for name, column in every.items()
            if made.get(FIGURE_OF.get(name, name), pd.Series(dtype=float)).notna().any()
        }

    def key(self, run: Run) -> tuple[object, ...]:
        """Equal for equal :meth:`results`, for caches."""
        cells = self.cells[self.cells["run"] == run.name]
        return str(run.root), run.stamp, tuple(self.names), tuple(cells["prompt"].unique())

    def results(self, run: Run) -> Results:
        """The chosen cells of one run, for analysis."""
        return results_of(run, self.cells[self.cells["run"] == run.name])

    def run(self, name: str) -> Run:
        """The run that is called so."""
        return next(run for run in self.runs if run.name == name)


def current() -> View:
    """What the sidebar says; the application has drawn it before any page."""
    view: View = st.session_state[KEY]
    return view


def one_run(view: View) -> Run:
    """The run that a page is about; the user chooses where there are several."""
    if len(view.runs) == 1:
        return view.runs[0]
    return view.run(st.selectbox("Run", [run.name for run in view.runs]))


def spread(cells: pd.DataFrame, count: int) -> list[str]:
    """Some methods of ``cells`` from the least compressed to the most, to look at first."""
    names = list(dict.fromkeys(cells.sort_values("compression_ratio")["name"]))
    places = np.linspace(0, len(names) - 1, min(count, len(names))).round().astype(int)
    return [names[place] for place in places]


def choose() -> None:
    """Draw the sidebar and remember what was chosen."""
    with st.sidebar:
        runs = _choose_runs(runs_by_name())
        st.session_state[KEY] = _choose_cells(runs)
        for run in runs:
            _note(run)


def read_first() -> None:
    """Read the run that is shown at first, before anybody looks."""
    name, root = next(iter(runs_by_name().items()))
    with suppress(KvbenchError):  # the page says it
        _load(root, name, 0, fingerprint(root))


def _choose_runs(opened: Mapping[str, Path]) -> tuple[Run, ...]:
    names = list(opened)
    if len(names) > 1:
        st.multiselect("Runs", names, names[:1], help="Several are compared.", key=RUNS_KEY)
    runs = []
    for name in chosen_runs(st.session_state):
        try:
            runs.append(_current_run(opened[name], name, names.index(name)))
        except KvbenchError as error:
            st.error(plain(str(error)))
            st.stop()
    return tuple(runs)


def _current_run(root: Path, name: str, place: int) -> Run:
    """The run as it was at first sight, until the user asks to read it again."""
    now = fingerprint(root)
    seen = st.session_state.setdefault(f"seen {root}", now)
    if seen != now and st.button("Read again", help="The run has changed.", key=f"again {root}"):
        seen = st.session_state[f"seen {root}"] = now
    return _load(root, name, place, seen)


@st.cache_resource(max_entries=16, show_spinner="Reading the run …")
def _load(root: Path, name: str, place: int, seen: tuple[int, int, int]) -> Run:  # noqa: ARG001
    """``seen`` is for the cache: the run's fingerprint."""
    return read_run(root, name, place)


def _choose_cells(runs: tuple[Run, ...]) -> View:
    cells = pd.concat([run.cells for run in runs], ignore_index=True)
    if len(runs) > 1:
        cells["name"] += " · " + cells["run"]
    prompts = {prompt.id: prompt.text for run in runs for prompt in run.manifest.prompts}
    others = cells[~cells["is_reference"]]
    known = list(dict.fromkeys(others["family"]))
    families = len(known) > 1 and st.pills(
        "Families", known, selection_mode="multi", key="families"
    )
    if families:
        others = others[others["family"].isin(families)]
    names = st.multiselect(
        "Methods", list(dict.fromkeys(others["name"])), placeholder="All", key="methods"
    )
    asked = st.multiselect(
        "Prompts", list(prompts), placeholder="All", key="prompts",
        format_func=lambda prompt: f"{prompt} · {prompts[prompt]}",
    )  # fmt: skip
    wanted = names or list(others["name"])
    keep = cells["is_reference"] | cells["name"].isin(wanted)
    keep &= cells["prompt"].isin(asked or list(prompts))
    return View(runs=runs, cells=cells[keep].reset_index(drop=True), prompts=prompts)


def _note(run: Run) -> None:
    """What the run is, and what its figures are not."""
    request = run.manifest.request
    made = (run.cells["status"] == "ok").sum()
    st.caption(
        f"**{plain(run.name)}**: {plain(request.generator)} on {plain(request.device)}, "
        f"{request.frames} latent frames, {made} of {len(run.cells)} cells; "
        f"{run.manifest.status}"
    )
    if run.manifest.request.systems_only:
        st.warning("The weights are synthetic: only memory, time and size mean anything.")
