"""The five recommendations of the published study's rule, as cards."""

from __future__ import annotations

import numpy as np
import streamlit as st

from kvbench_dashboard.summary import heading, scaled
from kvbench_dashboard.text import plain
from kvbench_dashboard.view import View, one_run
from kvbench_report.recommend import PRESETS, Card, cards
from kvbench_report.results import Results

CARD_WIDTH = 236
SHOWN = ("compression_ratio", "peak_bytes", "runtime_s", "ssim", "psnr")


def choose_preset(key: str) -> str:
    """What matters most."""
    return st.selectbox(
        "What matters most",
        list(PRESETS),
        format_func=lambda name: " > ".join(axis.name for axis in PRESETS[name][:4]),
        key=key,
    )


def show_cards(view: View) -> None:
    """Recommendation, and the best in three single respects."""
    st.subheader("Recommendation")
    left, _ = st.columns([2, 1])
    with left:
        run = one_run(view)
        if run.manifest.request.systems_only:
            st.info("None can be given: what synthetic weights generate has no quality.")
            return
        results = view.results(run)
        if all(method.is_reference for method in results.methods):
            st.info("None can be given: no compressed method is chosen, or the run has none.")
            return
        preset = choose_preset("overview preset")
    found = [card for card in _cards(view.key(run), preset, results) if card.title != "reference"]
    with st.container(horizontal=True):  # as many in a row as there is room for
        for card in found:
            with st.container(border=True, width=CARD_WIDTH, height="stretch"):
                _show(results, card)


@st.cache_data(max_entries=64, show_spinner=False)
def _cards(key: tuple[object, ...], preset: str, _results: Results) -> list[Card]:  # noqa: ARG001
    """``key`` stands for the results."""
    return cards(_results, {}, preset)


def _show(results: Results, card: Card) -> None:
    st.caption(card.title.capitalize())
    if card.method is None:
        st.markdown("*No method qualifies.*")
        return
    st.markdown(f"**{plain(card.method)}**")
    row = results.row(card.method)
    lines = []
    for column in (results.columns[name] for name in SHOWN if name in results.columns):
        value = results.level(column.name)[row]
        if np.isfinite(value):
            lines.append(f"{plain(heading(column))} **{scaled(value, column):.4g}**")
    st.markdown("  \n".join(lines))
    st.caption("  \n".join(f":orange[▲] {plain(caution)}" for caution in card.cautions))
