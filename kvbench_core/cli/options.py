"""What several commands do with their options."""

from __future__ import annotations

import re
from collections.abc import Iterable

import click

from kvbench_core.errors import storable


def split_names(texts: Iterable[str]) -> list[str]:
    """Names separated by commas, except commas inside parentheses: ``A,rtn(bits=4, ...)``."""
    names: list[str] = []
    for text in texts:
        depth, word = 0, ""
        for char in f"{text},":
            depth += (char == "(") - (char == ")")
            if char == "," and depth <= 0:
                names.append(word.strip())
                word = ""
            else:
                word += char
        names.append(word.rstrip(",").strip())
    return [name for name in names if name]


metrics_option = click.option(
    "--metrics",
    multiple=True,
    metavar="NAMES",
    callback=lambda _ctx, _option, texts: split_names(texts) or None,
    help="Metrics to compute, separated by commas: names (ssim), families (fidelity), or all "
    "[default: all that can run here].",
)


def given_options(ctx: click.Context) -> dict[str, str]:
    """The options that the user set, in the user's words; the rest are defaults."""
    source = click.core.ParameterSource.DEFAULT
    return {
        name: storable(_words(value))
        for name, value in ctx.params.items()
        if ctx.get_parameter_source(name) not in (source, None)
    }


def _words(value: object) -> str:
    match value:
        case (int(width), int(height)):
            return f"{width}x{height}"
        case tuple() | list():
            return ",".join(map(str, value))
    return str(value)


def resolution_option(text: str) -> tuple[int, int]:
    """Width and height of ``832x480``."""
    match = re.fullmatch(r"\s*(\d{1,5})\s*[xX]\s*(\d{1,5})\s*", text)
    if match is None:
        raise click.BadParameter(f"{text!r} is no size; write width and height like 832x480")
    return int(match[1]), int(match[2])
