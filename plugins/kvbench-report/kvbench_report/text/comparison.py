"""Two results side by side, as tables."""

from __future__ import annotations

from typing import Any

import click

from kvbench_core.errors import UnknownNameError
from kvbench_report.agreement import Agreement
from kvbench_report.axes import AXES, stand_in
from kvbench_report.compare import Comparison, disagreements
from kvbench_report.display import Display
from kvbench_report.text.tables import print_table


def print_comparison(found: Comparison) -> None:
    """What differs in the settings, how far each quantity agrees, and the figures."""
    _print_heading(found)
    _print_agreements(found)
    _print_figures(found)


def print_quantity(found: Comparison, name: str) -> None:
    """One quantity, by axis or column: figures and ranks of each method.

    Raises:
        UnknownNameError: the two do not both have it.
    """
    chosen = _chosen(found, name)
    _print_heading(found)
    x, y = found.here.level(chosen.here.name), found.there.level(chosen.there.name)
    mine, theirs = Display.of(chosen.here, x), Display.of(chosen.there, y)
    rows_of = {found.here.names[i]: (i, j) for i, j in found.pairs}
    rows = []
    for name, (first, second) in sorted(
        zip(chosen.methods, chosen.ranks, strict=True), key=lambda each: each[1]
    ):
        i, j = rows_of[name]
        rows.append([name, mine.text(x[i]), theirs.text(y[j]), f"{first:g}", f"{second:g}"])
    here, there = found.here.title, found.there.title
    headings = ["method", f"{mine.title}, {here}", f"{theirs.title}, {there}", "rank", "rank there"]
    print_table(headings, rows)
    click.echo(f"\nSpearman {_spearman(chosen)}")


def plain_comparison(found: Comparison) -> dict[str, Any]:
    """For JSON."""
    return {
        "here": found.here.title,
        "there": found.there.title,
        "only_here": found.only_here,
        "only_there": found.only_there,
        "differing_settings": found.settings,
        "quantities": [_plain(found, each) for each in found.agreements],
    }


def _plain(found: Comparison, each: Agreement) -> dict[str, Any]:
    x, y = found.here.level(each.here.name), found.there.level(each.there.name)
    ranks = dict(zip(each.methods, each.ranks, strict=True))
    return {
        "quantity": each.name,
        "here": each.here.name,
        "there": each.there.name,
        "pearson": each.pearson,
        "spearman": each.spearman.value,
        "spearman_low": each.spearman.low,
        "spearman_high": each.spearman.high,
        "methods": {
            found.here.names[i]: {
                "here": float(x[i]),
                "there": float(y[j]),
                "ranks": ranks.get(found.here.names[i]),
            }
            for i, j in found.pairs
        },
    }


def _print_heading(found: Comparison) -> None:
    here, there = found.here.title, found.there.title
    click.echo(f"{here} | {there}: {len(found.pairs)} methods in common")
    for title, names in ((here, found.only_here), (there, found.only_there)):
        if names:
            click.echo(f"only in {title}: {', '.join(names)}")
    for line in found.settings:
        click.echo(f"differs: {line}")
    click.echo()


def _print_agreements(found: Comparison) -> None:
    rows = [
        [
            each.name,
            str(len(each.methods)),
            "-" if each.pearson is None else f"{each.pearson:.4f}",
            _spearman(each),
            ", ".join(f"{name} {a:g} | {b:g}" for name, a, b in disagreements(each)),
        ]
        for each in found.agreements
    ]
    headings = ["quantity", "methods", "Pearson", "Spearman", "ranks that differ most"]
    print_table(headings, rows, words=("quantity", "ranks that differ most"))
    for each in found.agreements:
        for axis in AXES:
            for column in {each.here.name: each.here, each.there.name: each.there}.values():
                if axis.name == each.name and (note := stand_in(axis, column)):
                    click.echo(note)
    click.echo()


def _spearman(found: Agreement) -> str:
    value, low, high = found.spearman.value, found.spearman.low, found.spearman.high
    if value is None:
        return "-"
    return f"{value:.3f}" if low is None else f"{value:.3f} [{low:.3f}, {high:.3f}]"


def _print_figures(found: Comparison) -> None:
    """The axes' figures, one side | the other."""
    names = {axis.name for axis in AXES}
    headings, columns = ["method"], []
    for each in (each for each in found.agreements if each.name in names):
        x, y = found.here.level(each.here.name), found.there.level(each.there.name)
        mine, theirs = Display.of(each.here, x), Display.of(each.there, y)
        headings.append(
            mine.title if mine.title == theirs.title else f"{mine.title} | {theirs.title}"
        )
        columns.append([f"{mine.text(x[i])} | {theirs.text(y[j])}" for i, j in found.pairs])
    rows = [
        [found.here.names[i], *(texts[place] for texts in columns)]
        for place, (i, _) in enumerate(found.pairs)
    ]
    print_table(headings, rows)


def _chosen(found: Comparison, name: str) -> Agreement:
    for each in found.agreements:
        if name in (each.name, each.here.name, each.there.name):
            return each
    known = [each.name for each in found.agreements]
    raise UnknownNameError("quantity of both", name, known, listing="kvbench compare")
