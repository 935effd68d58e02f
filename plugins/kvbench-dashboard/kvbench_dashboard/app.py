"""The page around all pages. Streamlit runs this file anew for each click."""

from __future__ import annotations

import streamlit as st

from kvbench_dashboard.headline import show_headline

PAGES = {
    "overview": "Overview",
    "frontier": "Frontiers",
    "method": "Method",
    "systems": "Systems",
    "quality": "Quality and drift",
    "videos": "Videos",
    "prompts": "Prompts",
    "data": "Data",
    "provenance": "Provenance",
}

STYLE = ".stMainBlockContainer { padding: 4.5rem 3rem 3rem }"


def show() -> None:
    """Headline of the first page, sidebar, the chosen page."""
    st.set_page_config(page_title="kvbench", layout="wide")
    st.html(f"<style>{STYLE}</style>")
    first, *others = (
        st.Page(f"tabs/{name}.py", title=title, url_path=name, default=name == next(iter(PAGES)))
        for name, title in PAGES.items()
    )
    page = st.navigation([first, *others], position="top")
    if page == first:
        show_headline()
    from kvbench_dashboard.view import choose  # pandas and all: the headline can be read meanwhile

    choose()
    page.run()


show()
