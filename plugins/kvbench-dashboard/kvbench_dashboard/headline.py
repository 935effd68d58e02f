"""The first thing to be seen, so it needs nothing that takes long to import."""

from __future__ import annotations

from contextlib import suppress

import streamlit as st

from kvbench_core.errors import KvbenchError
from kvbench_core.run.store import RunStore
from kvbench_dashboard.opened import chosen_runs, runs_by_name
from kvbench_dashboard.text import plain


def show_headline() -> None:
    """What each chosen run compares."""
    opened = runs_by_name()
    for name in chosen_runs(st.session_state):
        with suppress(KvbenchError):  # the sidebar says it
            manifest = RunStore.open(opened[name]).manifest()
            methods, prompts = len(manifest.methods), len(manifest.prompts)
            counted = (
                f"{methods} method{'s' * (methods > 1)}, {prompts} prompt{'s' * (prompts > 1)}"
            )
            st.markdown(f"## {plain(name)}: {counted}")
