"""``kvbench compare``: a run beside another run or a published table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kvbench_report.cli.source import json_option, published_option, say_problems, source

if TYPE_CHECKING:
    from kvbench_core.published import Benchmark
    from kvbench_report.agreement import Agreement
    from kvbench_report.compare import Comparison


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("other", required=False, type=click.Path(path_type=Path), metavar="[RUN_B]")
@published_option
@click.option(
    "--integration",
    type=click.Choice(("streaming", "reconstruct")),
    default="streaming",
    show_default=True,
    help="Which of a method's integrations meets the published row.",
)
@click.option("--column", metavar="NAME", help="One quantity: figures and ranks of each method.")
@json_option
def compare(
    run: Path,
    other: Path | None,
    published: Benchmark | None,
    integration: str,
    column: str | None,
    as_json: bool,
) -> None:
    """Set a run beside a published table, or beside another run.

    Shows what differs in the settings, how far each quantity's values (Pearson) and order
    (Spearman, with the interval over draws of prompts) agree, which methods' ranks differ most,
    and the figures, RUN's first.
    """
    from attrs import evolve

    from kvbench_report.compare import compare as set_beside

    here, there = source(run, None), source(other, published)
    found = set_beside(evolve(here, title=str(run)), there, integration)
    if other is not None:  # two runs may have folders of one name
        found = evolve(found, there=evolve(there, title=str(other)))
    if as_json:
        _print_json(found)
        return
    _print_heading(found)
    if column is not None:
        _print_one(found, _chosen(found, column))
    else:
        _print_agreements(found)
        _print_figures(found)
    say_problems(found.here)
    say_problems(found.there)


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
    from kvbench_report.axes import AXES, stand_in
    from kvbench_report.cli.text import print_table
    from kvbench_report.compare import disagreements

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
            for column in (each.here, each.there):
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
    from kvbench_report.axes import AXES
    from kvbench_report.cli.text import print_table
    from kvbench_report.display import Display

    names = {axis.name for axis in AXES}
    shown = [each for each in found.agreements if each.name in names]
    columns = []
    for each in shown:
        x, y = found.here.level(each.here.name), found.there.level(each.there.name)
        mine, theirs = Display.of(each.here, x), Display.of(each.there, y)
        units = f"{mine.title} | {theirs.unit}" if mine.unit != theirs.unit else mine.title
        texts = [f"{mine.text(x[i])} | {theirs.text(y[j])}" for i, j in found.pairs]
        columns.append((units, texts))
    rows = [
        [found.here.names[i], *(texts[place] for _, texts in columns)]
        for place, (i, _) in enumerate(found.pairs)
    ]
    print_table(["method", *(units for units, _ in columns)], rows)


def _chosen(found: Comparison, name: str) -> Agreement:
    from kvbench_core.errors import UnknownNameError

    for each in found.agreements:
        if name in (each.name, each.here.name, each.there.name):
            return each
    known = [each.name for each in found.agreements]
    raise UnknownNameError("quantity of both", name, known, listing="kvbench compare")


def _print_one(found: Comparison, chosen: Agreement) -> None:
    from kvbench_report.cli.text import print_table
    from kvbench_report.display import Display

    x, y = found.here.level(chosen.here.name), found.there.level(chosen.there.name)
    mine, theirs = Display.of(chosen.here, x), Display.of(chosen.there, y)
    rows_of = {found.here.names[i]: (i, j) for i, j in found.pairs}
    ranked = sorted(zip(chosen.methods, chosen.ranks, strict=True), key=lambda each: each[1])
    rows = []
    for name, (first, second) in ranked:
        i, j = rows_of[name]
        rows.append([name, mine.text(x[i]), theirs.text(y[j]), f"{first:g}", f"{second:g}"])
    here, there = found.here.title, found.there.title
    headings = ["method", f"{mine.title}, {here}", f"{theirs.title}, {there}", "rank", "rank there"]
    print_table(headings, rows)
    click.echo(f"\nSpearman {_spearman(chosen)}")


def _print_json(found: Comparison) -> None:
    from kvbench_report.cli.text import print_json

    print_json({
        "here": found.here.title,
        "there": found.there.title,
        "only_here": found.only_here,
        "only_there": found.only_there,
        "differing_settings": found.settings,
        "quantities": [_plain(found, each) for each in found.agreements],
    })  # fmt: skip


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
