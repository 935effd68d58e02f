"""Tables and numbers as text and as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import click
from tabulate import tabulate


def print_table(
    headings: Sequence[str], rows: Sequence[Sequence[str]], words: Sequence[str] = ("method",)
) -> None:
    """Print a table; columns under ``words`` are aligned to the left, numbers to the right."""
    align = ["left" if heading in words else "right" for heading in headings]
    click.echo(tabulate(rows, headers=headings, disable_numparse=True, colalign=align))


def print_json(data: object) -> None:
    """Print JSON; what is missing or infinite has no number there and becomes null."""
    click.echo(json.dumps(_plain(data), indent=2, ensure_ascii=False))


def _plain(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: _plain(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_plain(value) for value in data]
    if isinstance(data, float) and not math.isfinite(data):
        return None
    return data
