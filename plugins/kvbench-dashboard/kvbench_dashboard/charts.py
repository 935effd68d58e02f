"""The pages' charts, as Vega-Lite specifications that carry their data.

Data columns have fixed names, because a field's name is a small language in Vega; what people
called their metrics goes into titles, which are plain text.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

Spec = dict[str, Any]
"""https://vega.github.io/vega-lite/docs/spec.html, with a data frame among ``datasets``."""

HEIGHT = 430
LEGEND_ROW = 30
NUMBER = ".4~g"
ROLES = {"BF16": "diamond", "on the frontier": "circle", "dominated": "cross"}
ROOM_FOR_NAMES = 0.2
PARTS = ["#f59e0b", "#2563eb", "#cbd5e1"]
COLOURS = {"scheme": "tableau10"}
LOOSE = {"zero": False, "nice": True, "padding": 12}
METHOD = {"field": "method", "type": "nominal"}


def scatter(table: pd.DataFrame, x: str, y: str) -> Spec:
    """Methods as points: ``method``, ``label``, ``family``, ``role``, ``x``, ``y``.

    An interval of y reaches from ``low`` to ``high``.

    ``x`` and ``y`` are the axes' titles.
    """
    left, right = table["x"].min(), table["x"].max()
    room = {**LOOSE, "nice": False, "domain": [left, right + ROOM_FOR_NAMES * (right - left)]}
    roles = [role for role in ROLES if role in set(table["role"])]
    shapes = {"domain": roles, "range": [ROLES[role] for role in roles]}
    right_legend = {"title": None, "orient": "right", "symbolOpacity": 1, "symbolType": "circle"}
    family = _named("family", scale=COLOURS, sort=None, legend=right_legend)
    role = _named("role", scale=shapes, legend={"title": None, "orient": "top"})
    up = _number("y", y, scale=LOOSE)
    told = [METHOD, _named("family"), _named("role"), _told("x", x), _told("y", y)]
    return {
        **_of(table),
        "height": HEIGHT,
        "encoding": {"x": _number("x", x, scale=room if left < right else LOOSE)},
        "layer": [
            {
                "mark": {"type": "rule", "opacity": 0.35},
                "encoding": {"y": {**up, "field": "low"}, "y2": {"field": "high"}, "color": family},
            },
            {
                "mark": {"type": "point", "filled": True, "size": 130, "opacity": 1},
                "params": [{"name": "zoom", "select": "interval", "bind": "scales"}],
                "encoding": {"y": up, "color": family, "shape": role, "tooltip": told},
            },
            {
                "mark": {"type": "text", "align": "left", "dx": 9, "fontSize": 11, "opacity": 0.8},
                "encoding": {"y": up, "text": _named("label")},
            },
        ],
    }  # fmt: skip


def forest(table: pd.DataFrame, x: str, zero: bool = False) -> Spec:
    """A row for each ``method``: its ``value`` and the interval from ``low`` to ``high``.

    ``zero`` draws a line there, for differences.
    """
    told = [METHOD, _told("value", x), _told("low", "from"), _told("high", "to"),
            {"field": "n", "type": "quantitative", "title": "prompts"}]  # fmt: skip
    line = {
        "mark": {"type": "rule", "strokeDash": [4, 3], "opacity": 0.6},
        "encoding": {"x": {"datum": 0, "type": "quantitative"}},
    }
    rows, across = _rows(table), _number("value", x, scale=LOOSE)
    interval = {
        "mark": {"type": "rule", "strokeWidth": 2},
        "encoding": {"y": rows, "x": {**across, "field": "low"}, "x2": {"field": "high"}},
    }
    points = {
        "mark": {"type": "point", "filled": True, "size": 80, "opacity": 1},
        "encoding": {"y": rows, "x": across, "tooltip": told},
    }
    layers = [line] * zero + [interval, points]
    return {**_of(table), "height": {"step": 20}, "layer": layers}


def lines(
    table: pd.DataFrame, x: str, y: str, methods: Sequence[str], from_zero: bool = False
) -> Spec:
    """``y`` over ``x``, a line for each ``method``, in the order of ``methods``."""
    drawn = [method for method in methods if method in set(table["method"])]
    across = {"format": "~g", "tickMinStep": 1}
    columns = 1 + len(drawn) // 8
    legend = {"title": None, "orient": "bottom", "direction": "vertical", "columns": columns,
              "labelLimit": 260}  # fmt: skip
    colour = _named("method", scale={**COLOURS, "domain": drawn}, legend=legend)
    return {
        **_of(table),
        "height": HEIGHT + LEGEND_ROW * math.ceil(len(drawn) / columns),
        "encoding": {
            "x": _number("x", x, scale={"zero": False, "nice": False}, axis=across),
            "y": _number("y", y, scale={"zero": from_zero}),
            "color": colour,
            "tooltip": [METHOD, _told("x", x), _told("y", y)],
        },
        "layer": [{"mark": "line"}, {"mark": {"type": "point", "size": 25, "filled": True}}],
    }


def bars(table: pd.DataFrame, x: str) -> Spec:
    """A bar for each ``method``, made of ``part``s of length ``value``, in order of ``place``."""
    part = _named("part", scale={"range": PARTS}, sort=None,
                  legend={"title": None, "orient": "top"})  # fmt: skip
    return {
        **_of(table),
        "height": {"step": 20},
        "mark": "bar",
        "encoding": {
            "x": _number("value", x),
            "y": _rows(table),
            "color": part,
            "order": {"field": "place", "type": "quantitative"},
            "tooltip": [METHOD, _named("part"), _told("value", x)],
        },
    }


def heatmap(table: pd.DataFrame, title: str, better: str) -> Spec:
    """``value`` of each ``method`` and ``prompt``, lighter where it is better."""
    colours = {"scheme": "viridis", "reverse": better == "lower", "zero": False}
    return {
        **_of(table),
        "height": {"step": 18},
        "mark": "rect",
        "encoding": {
            "x": _named("prompt", title="prompt", sort=None, axis={"labelAngle": 0}),
            "y": _rows(table),
            "color": _number("value", title, scale=colours),
            "tooltip": [METHOD, _named("prompt"), _told("value", title)],
        },
    }


def _of(table: pd.DataFrame) -> Spec:
    """The chart's data: a named set, because Streamlit draws an unnamed one empty at first."""
    return {"datasets": {"table": table}, "data": {"name": "table"}}


def _rows(table: pd.DataFrame) -> Spec:
    """A row for each method, in the table's order, with its whole name."""
    labels = {"labelLimit": 320, "labelOverlap": False, "labelFlush": False}
    return {**METHOD, "sort": list(dict.fromkeys(table["method"])), "title": None, "axis": labels}


def _named(field: str, **more: Any) -> Spec:
    return {"field": field, "type": "nominal", **more}


def _number(field: str, title: str, **more: Any) -> Spec:
    return {"field": field, "type": "quantitative", "title": title, **more}


def _told(field: str, title: str) -> Spec:
    return _number(field, title, format=NUMBER)
