"""The five recommendations of the published study's rule, as cards."""

from __future__ import annotations

import streamlit as st

from kvbench_dashboard.summary import heading, scaled
from kvbench_dashboard.text import plain
from kvbench_dashboard.view import View, one_run
from kvbench_report.limits import Limits
from kvbench_report.recommend import PRESETS, Card, cards
from kvbench_report.results import Results

SHOWN = ("compression_ratio", "peak_bytes", "runtime_s", "ssim", "psnr")


def choose_preset(key: str) -> str:
    """What matters most."""
    return st.selectbox(
        "What matters most",
        list(PRESETS),
        format_func=lambda name: " > ".join(axis.name for axis in PRESETS[name][:4]),
        key=key,
    )


def show_cards(view: View, limits: Limits | None = None) -> None:
    """Recommendation, and the best in three single respects."""
    st.subheader("Recommendation")
    left, _ = st.columns([2, 1])
    with left:
        run = one_run(view)
        preset = choose_preset("overview preset")
    results = view.results(run)
    found = [card for card in cards(results, limits or {}, preset) if card.title != "reference"]
    for place, card in zip(st.columns(len(found)), found, strict=True):
        with place.container(border=True, height="stretch"):
            _show(results, card)


def _show(results: Results, card: Card) -> None:
    st.caption(card.title.capitalize())
    if card.method is None:
        st.markdown("*No method qualifies.*")
        return
    st.markdown(f"**{plain(card.method)}**")
    row = results.row(card.method)
    for name in SHOWN:
        if name in results.columns:
            column = results.columns[name]
            value = results.level(name)[row]
            if value == value:  # not NaN
                st.markdown(f"{plain(heading(column))}: {scaled(value, column):.4g}")
    for caution in card.cautions:
        st.caption(f":orange[▲] {plain(caution)}")
