"""Tables and numbers as text, CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import click
from tabulate import tabulate


def print_table(
    headings: Sequence[str],
    rows: Sequence[Sequence[str]],
    words: Sequence[str] = ("method",),
    style: str = "simple",
) -> None:
    """Print a table; columns under ``words`` are aligned to the left, numbers to the right."""
    align = ["left" if heading in words else "right" for heading in headings]
    click.echo(
        tabulate(rows, headers=headings, tablefmt=style, disable_numparse=True, colalign=align)
    )


def print_csv(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print CSV; an empty field is missing."""
    out = io.StringIO()
    writer = csv.DictWriter(out, rows[0], lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({key: "" if _is_nan(value) else value for key, value in row.items()})
    click.echo(out.getvalue(), nl=False)


def print_json(data: object) -> None:
    """Print JSON; a number that is missing or infinite is null."""
    click.echo(json.dumps(_plain(data), indent=2, ensure_ascii=False))


def _plain(data: Any) -> Any:
    if isinstance(data, Mapping):
        return {key: _plain(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_plain(value) for value in data]
    if isinstance(data, float) and not math.isfinite(data):
        return None
    return data


def _is_nan(value: object) -> bool:
    return isinstance(value, float) and math.isnan(value)
