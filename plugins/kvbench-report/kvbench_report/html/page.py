"""Sections as one HTML file that needs nothing else."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from kvbench_report.figures.style import DARK, GRID, INK, MUTED, PAPER
from kvbench_report.html.blocks import Section

TEMPLATES = "html/template"
TAG = re.compile(r"<[^>]*>")
ID = re.compile(r'( id="|xlink:href="#|url\(#)')
COLOUR = re.compile(r"#[0-9a-f]{6}\b")
CODE = re.compile(r"`([^`]+)`")
ROLES = {INK: "ink", MUTED: "muted", GRID: "grid", PAPER: "paper"}


def page(title: str, subtitle: str, sections: Sequence[Section]) -> str:
    """The report; whatever it is given is text, pictures apart, and is escaped."""
    environment = Environment(
        loader=PackageLoader("kvbench_report", TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["prose"] = _prose
    script = _own("table.js")
    return environment.get_template("page.html").render(
        title=title,
        subtitle=subtitle,
        sections=sections,
        style=Markup(_palette() + _own("style.css")),  # noqa: S704  ours
        script=Markup(script),  # noqa: S704  ours
        policy=_policy(script),
    )


def inline(svg: str, name: str, alt: str) -> Markup:
    """An SVG file of ours as part of a page: accessible, in the page's colours, ids of its own."""
    body = TAG.sub(lambda tag: _adapted(tag[0], name), svg[svg.index("<svg") :])
    opening = f'<svg role="img" aria-label="{escape(alt)}"'
    return Markup(body.replace("<svg", opening, 1))  # noqa: S704  matplotlib escapes texts


def _adapted(tag: str, name: str) -> str:
    tag = ID.sub(rf"\g<1>{name}-", tag)
    return COLOUR.sub(lambda match: colour(match[0]) if match[0] in DARK else match[0], tag)


def _prose(text: str) -> Markup:
    """A text with its `commands` set as code."""
    return Markup(CODE.sub(r"<code>\1</code>", str(escape(text))))  # noqa: S704  escaped here


def colour(value: str) -> str:
    """The style sheet's variable for a colour of the figures."""
    return f"var(--{ROLES.get(value, 'c' + value[1:])})"


def _palette() -> str:
    light = "".join(f"{colour(value)[4:-1]}:{value};" for value in DARK)
    dark = "".join(f"{colour(value)[4:-1]}:{other};" for value, other in DARK.items())
    return f":root{{{light}}}\n@media screen and (prefers-color-scheme: dark){{:root{{{dark}}}}}\n"


def _own(name: str) -> str:
    return (files("kvbench_report") / TEMPLATES / name).read_text(encoding="utf-8")


def _policy(script: str) -> str:
    """Nothing is loaded, and no script runs but ours."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
