"""The pages' charts.

Data columns have fixed names, because a field's name is a small language in Vega; what people
called their metrics goes into titles, which are plain text.
"""

from __future__ import annotations

from typing import Any

import altair as alt
import pandas as pd

HEIGHT = 430
NUMBER = ".4~g"
ROLES = {"BF16": "diamond", "on the frontier": "circle", "dominated": "cross"}
ROOM_FOR_NAMES = 0.2
PARTS = ["#f59e0b", "#2563eb", "#cbd5e1"]
LABELS = alt.Axis(labelLimit=320, labelOverlap=False, labelFlush=False)


def scatter(table: pd.DataFrame, x: str, y: str) -> Any:
    """Methods as points: ``method``, ``label``, ``family``, ``role``, ``x``, ``y``.

    An interval of y reaches from ``low`` to ``high`` if there is one.

    ``x`` and ``y`` are the axes' titles.
    """
    left, right = table["x"].min(), table["x"].max()
    room = alt.Scale(domain=[left, right + ROOM_FOR_NAMES * (right - left)], zero=False, padding=12)
    base = alt.Chart(table).encode(
        x=alt.X("x:Q", title=x, scale=room if left < right else _loose()),
        y=alt.Y("y:Q", title=y, scale=_loose()),
    )
    roles = [role for role in ROLES if role in set(table["role"])]
    points = base.mark_point(filled=True, size=130, opacity=1).encode(
        color=_families(),
        shape=alt.Shape(
            "role:N",
            scale=alt.Scale(domain=roles, range=[ROLES[role] for role in roles]),
            legend=alt.Legend(title=None, orient="top"),
        ),
        tooltip=["method:N", "family:N", "role:N", _told("x", x), _told("y", y)],
    )
    names = base.mark_text(align="left", dx=9, fontSize=11, opacity=0.8).encode(text="label:N")
    layers = [points, names]
    if "low" in table:
        whiskers = base.mark_rule(opacity=0.35).encode(y="low:Q", y2="high:Q", color=_families())
        layers.insert(0, whiskers)
    return alt.layer(*layers).properties(height=HEIGHT).interactive()


def forest(table: pd.DataFrame, x: str, zero: bool = False) -> Any:
    """A row for each ``method``: its ``value`` and the interval from ``low`` to ``high``.

    ``zero`` draws a line there, for differences.
    """
    rows = alt.Y("method:N", sort=list(table["method"]), title=None, axis=LABELS)
    base = alt.Chart(table).encode(y=rows)
    told = [_told("value", x), _told("low", "from"), _told("high", "to"), "n:Q"]
    points = base.mark_point(filled=True, size=80, opacity=1).encode(
        x=alt.X("value:Q", title=x, scale=_loose()), tooltip=["method:N", *told]
    )
    layers = [base.mark_rule(strokeWidth=2).encode(x="low:Q", x2="high:Q"), points]
    if zero:
        line = alt.Chart(pd.DataFrame({"at": [0]})).mark_rule(strokeDash=[4, 3], opacity=0.6)
        layers.insert(0, line.encode(x="at:Q"))
    return alt.layer(*layers).properties(height=alt.Step(20))


def lines(table: pd.DataFrame, x: str, y: str, from_zero: bool = False) -> Any:
    """``y`` over ``x``, a line for each ``method``."""
    base = alt.Chart(table).encode(
        x=alt.X(
            "x:Q",
            title=x,
            scale=alt.Scale(zero=False, nice=False),
            axis=alt.Axis(format="~g", tickMinStep=1),
        ),
        y=alt.Y("y:Q", title=y, scale=alt.Scale(zero=from_zero)),
        color=alt.Color("method:N", sort=None, legend=alt.Legend(title=None, labelLimit=260)),
        tooltip=["method:N", _told("x", x), _told("y", y)],
    )
    return (base.mark_line() + base.mark_point(size=25, filled=True)).properties(height=HEIGHT)


def bars(table: pd.DataFrame, x: str) -> Any:
    """A bar for each ``method``, made of ``part``s of length ``value``, in order of ``place``."""
    return (
        alt.Chart(table)
        .mark_bar()
        .encode(
            x=alt.X("value:Q", title=x),
            y=alt.Y("method:N", sort=None, title=None, axis=LABELS),
            color=alt.Color(
                "part:N",
                sort=None,
                legend=alt.Legend(title=None, orient="top"),
                scale=alt.Scale(range=PARTS),
            ),
            order=alt.Order("place:Q"),
            tooltip=["method:N", "part:N", _told("value", x)],
        )
        .properties(height=alt.Step(20))
    )


def heatmap(table: pd.DataFrame, title: str, better: str) -> Any:
    """``value`` of each ``method`` and ``prompt``, lighter where it is better."""
    colours = alt.Scale(scheme="viridis", reverse=better == "lower", zero=False)
    return (
        alt.Chart(table)
        .mark_rect()
        .encode(
            x=alt.X("prompt:N", sort=None, title="prompt"),
            y=alt.Y("method:N", sort=None, title=None, axis=LABELS),
            color=alt.Color("value:Q", title=title, scale=colours),
            tooltip=["method:N", "prompt:N", _told("value", title)],
        )
        .properties(height=alt.Step(18))
    )


def _loose() -> alt.Scale:
    return alt.Scale(zero=False, nice=True, padding=12)


def _families() -> alt.Color:
    legend = alt.Legend(title=None, orient="right", symbolOpacity=1, symbolType="circle")
    return alt.Color("family:N", sort=None, legend=legend, scale=alt.Scale(scheme="tableau10"))


def _told(field: str, title: str) -> alt.Tooltip:
    return alt.Tooltip(f"{field}:Q", title=title, format=NUMBER)
