"""How every figure looks: ink, and a colour and a marker for each family."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from attrs import frozen

INK = "#1b1f24"
MUTED = "#6b7280"
GRID = "#e1e4e8"
FAINT = "#c6ccd4"
PAPER = "#ffffff"
BASE_FONT = 8.5

DARK: Mapping[str, str] = {
    INK: "#e8eaed",
    MUTED: "#9aa3af",
    GRID: "#30363d",
    FAINT: "#464d57",
    PAPER: "#15181d",
    "#0f6fb8": "#5aa9e6",
    "#d1500b": "#f28e55",
    "#0b8a6a": "#3fc49c",
    "#a67c00": "#d9b13b",
    "#b5467f": "#e08bb7",
    "#7a5230": "#c39a74",
    "#6a4fb3": "#a993ea",
    "#1d8ba3": "#5fc3d9",
    "#8c2f39": "#e07a84",
    "#5a7d1a": "#a3c65c",
    "#4f6d8f": "#8fb0d6",
    "#96452b": "#d98a70",
}
"""What a page on a dark ground shows in place of each colour."""


@frozen
class Look:
    """A family's colour and marker; two families never differ by hue alone."""

    colour: str
    marker: str


LOOKS: Mapping[str, Look] = {
    "BF16": Look(INK, "*"),
    "RTN": Look("#0f6fb8", "o"),
    "KIVI": Look("#d1500b", "s"),
    "QUAROT": Look("#0b8a6a", "^"),
    "FLOWCACHE": Look("#a67c00", "D"),
    "PRQ": Look("#b5467f", "v"),
    "QAQ": Look("#7a5230", "<"),
    "SPATIAL_MIXED": Look("#6a4fb3", "P"),
    "AGE_TIER": Look("#1d8ba3", "h"),
    "TPTQ": Look("#8c2f39", "X"),
}
OTHERS = (Look("#5a7d1a", ">"), Look("#4f6d8f", "p"), Look("#96452b", "d"), Look(MUTED, "H"))

SETTINGS: dict[Any, object] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib, so it is everywhere
    "font.size": BASE_FONT,
    "text.color": INK,
    "text.parse_math": False,  # a method's name may hold dollar signs
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.titlesize": BASE_FONT + 1,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.formatter.useoffset": False,
    "axes.formatter.limits": (-6, 9),
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "figure.facecolor": PAPER,
    "axes.facecolor": "none",
    "svg.fonttype": "none",
    "svg.hashsalt": "kvbench",  # equal input, equal file
    "savefig.dpi": 160,
}


@contextmanager
def styled() -> Iterator[None]:
    """Draw and save figures inside; the process's own settings come back afterwards."""
    with mpl.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # prompts have letters that the font has not
        mpl.rcdefaults()
        mpl.rcParams.update(SETTINGS)
        yield


def looks(families: Iterable[str]) -> dict[str, Look]:
    """A look for each family: the study's have their own, others take turns by name."""
    others = sorted(set(families) - set(LOOKS))
    return {**LOOKS, **{name: OTHERS[i % len(OTHERS)] for i, name in enumerate(others)}}
