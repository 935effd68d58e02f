"""A figure as bytes: the same figure always gives the same ones."""

from __future__ import annotations

import io

from matplotlib.figure import Figure


def svg(figure: Figure) -> str:
    """As SVG with its text as text."""
    out = io.StringIO()
    figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    return out.getvalue()


def png(figure: Figure) -> bytes:
    """As PNG."""
    out = io.BytesIO()
    figure.savefig(out, format="png", metadata={"Software": None})
    return out.getvalue()
