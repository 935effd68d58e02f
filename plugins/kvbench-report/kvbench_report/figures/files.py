"""A figure as bytes: the same figure always gives the same ones."""

from __future__ import annotations

import io

from matplotlib.figure import Figure

FONT = "font-family: 'DejaVu Sans'"
FONTS = f"{FONT}, Verdana, sans-serif"
"""Matplotlib names the font that it brings. Where that is not installed, Verdana is as wide."""


def svg(figure: Figure) -> str:
    """As SVG with its text as text."""
    out = io.StringIO()
    figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    return out.getvalue().replace(FONT, FONTS)


def png(figure: Figure) -> bytes:
    """As PNG."""
    out = io.BytesIO()
    figure.savefig(out, format="png", metadata={"Software": None})
    return out.getvalue()
