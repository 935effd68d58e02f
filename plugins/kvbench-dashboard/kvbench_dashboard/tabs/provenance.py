"""Where the figures come from, and what went wrong."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import streamlit as st
from attrs import asdict

from kvbench_core.errors import KvbenchError
from kvbench_core.report.collect import collect
from kvbench_core.run.store import RunStore
from kvbench_dashboard.data import Run
from kvbench_dashboard.text import plain
from kvbench_dashboard.view import View, current


def show(view: View) -> None:
    """For each run its failures, its request and its sessions."""
    for run in view.runs:
        st.subheader(f"Run {plain(run.name)}")
        st.text(str(run.root))
        _failures(run)
        _run(run)


def _failures(run: Run) -> None:
    wanted = len(run.manifest.methods) * len(run.manifest.prompts)
    if len(run.cells) < wanted:
        st.warning(f"{wanted - len(run.cells)} of {wanted} cells have not been made.")
    found = _from_records(str(run.root), run.stamp)
    if not any(found.values()):
        st.success("Every cell that was tried gave a video, and every score could be computed.")
    for title, lines in found.items():
        if lines:
            with st.expander(f"{title}: {len(lines)}", expanded=title == "Failures"):
                st.dataframe(pd.DataFrame({"what": lines}), hide_index=True)


@st.cache_data(max_entries=16, show_spinner="Reading the records …")
def _from_records(root: str, stamp: tuple[int, ...]) -> dict[str, list[str]]:  # noqa: ARG001
    """What the table of cells does not hold; ``stamp`` is for the cache."""
    try:
        found = collect(RunStore(Path(root)))
    except KvbenchError as error:
        return {"Problems": [str(error)]}
    return {
        "Failures": list(found.failures()),
        "Problems": list(found.problems),
        "Scores that are not available": list(found.missing_scores()),
    }


def _run(run: Run) -> None:
    if run.why_derived:
        st.caption(f"The table was made from the records: {plain(run.why_derived)}.")
    left, right = st.columns(2)
    with left:
        st.markdown("**Request**")
        request = asdict(run.manifest.request)
        st.dataframe(_pairs({**request, "prompt digest": run.manifest.prompt_digest}))
    with right:
        st.markdown("**Environment of the last session**")
        if run.manifest.sessions:
            environment = run.manifest.sessions[-1].environment
            facts = asdict(environment)
            packages = facts.pop("packages")
            git = facts.pop("git") or {}
            st.dataframe(_pairs({**facts, **{f"git {k}": v for k, v in git.items()}, **packages}))
    st.markdown("**Sessions**")
    st.dataframe(
        pd.DataFrame(
            {
                "started": session.started,
                "finished": session.finished,
                "status": session.status,
                "options": " ".join(f"{name}={value}" for name, value in session.given.items()),
                "error": (session.error or "").strip().rpartition("\n")[2],
            }
            for session in run.manifest.sessions
        ),
        hide_index=True,
    )


def _pairs(facts: dict[str, object]) -> pd.DataFrame:
    texts = {name: "" if value is None else str(value) for name, value in facts.items()}
    return pd.DataFrame({"value": texts.values()}, index=pd.Index(texts, name="what"))


show(current())
