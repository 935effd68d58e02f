"""The player: videos of several methods side by side, in step, to the pixel."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files

import streamlit as st
from attrs import asdict, frozen

_PARTS = files("kvbench_dashboard.player")
_component = st.components.v2.component(
    "kvbench_player",
    html=_PARTS.joinpath("player.html").read_text(encoding="utf-8"),
    css=_PARTS.joinpath("player.css").read_text(encoding="utf-8"),
    js=_PARTS.joinpath("player.js").read_text(encoding="utf-8"),
)


@frozen(kw_only=True)
class Clip:
    """One video on the page.

    ``url`` is the folder of its frames, relative to the dashboard's address. A ``light`` clip is
    played from compressed copies. ``reference`` is the place of the clip to compare with.
    ``problem`` says why there is no video.
    """

    label: str
    note: str = ""
    url: str = ""
    frames: int = 0
    width: int = 1
    height: int = 1
    fps: float = 1.0
    light: bool = False
    reference: int | None = None
    problem: str | None = None


def show_player(clips: Sequence[Clip], key: str) -> None:
    """Place the player on the page."""
    _component(data={"clips": [asdict(clip) for clip in clips]}, key=key)
