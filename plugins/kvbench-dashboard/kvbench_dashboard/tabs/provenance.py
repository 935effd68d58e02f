"""Where the figures come from, and what went wrong."""

from __future__ import annotations

import pandas as pd
import streamlit as st
from attrs import asdict

from kvbench_dashboard.data import Run
from kvbench_dashboard.text import plain
from kvbench_dashboard.view import View, current


def show(view: View) -> None:
    """Failures first, then each run's request and sessions."""
    _failures(view)
    for run in view.runs:
        _run(run)


def _failures(view: View) -> None:
    st.subheader("Failures")
    failed = view.cells[view.cells["status"] != "ok"]
    if failed.empty:
        st.success("Every cell that was tried gave a video.")
        return
    table = failed[["run", "name", "prompt", "seed", "error"]]
    st.dataframe(table, hide_index=True)


def _run(run: Run) -> None:
    st.subheader(f"Run {plain(run.name)}")
    st.text(str(run.root))
    if run.why_derived:
        st.caption(f"The table was made from the records: {plain(run.why_derived)}.")
    _missing(run)
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


def _missing(run: Run) -> None:
    wanted = len(run.manifest.methods) * len(run.manifest.prompts)
    if len(run.cells) < wanted:
        st.warning(f"{wanted - len(run.cells)} of {wanted} cells have not been made.")


def _pairs(facts: dict[str, object]) -> pd.DataFrame:
    texts = {name: "" if value is None else str(value) for name, value in facts.items()}
    return pd.DataFrame({"value": texts.values()}, index=pd.Index(texts, name="what"))


show(current())
