"""``kvbench published``: the study's own figures, set beside each other and explained."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from kvbench_report.cli.explain import explain
from kvbench_report.cli.source import benchmark_argument, json_option

if TYPE_CHECKING:
    from kvbench_core.published import Benchmark
    from kvbench_report.agreement import Agreement

STATED = {
    "compression ratio": "0.9999",
    "runtime": "0.9996",
    "peak memory": "0.99999",
    "imaging quality": "0.9318",
    "drift-last": "0.9374",
}
"""The study's correlations between its two benchmarks (arXiv 2603.27469)."""
FORMATS = {"terminal": "simple", "markdown": "github", "csv": ""}


@click.group()
def published() -> None:
    """The figures of the published study, read again.

    They come with kvbench: 33 methods on MovieGen prompts, 30 on StoryEval.
    """


@published.command()
@benchmark_argument
@click.option(
    "--format",
    "style",
    type=click.Choice(list(FORMATS)),
    default="terminal",
    show_default=True,
    help="How to write the table.",
)
@json_option
def table(benchmark: Benchmark, style: str, as_json: bool) -> None:
    """Print a published table, moviegen or storyeval. CSV and JSON hold bytes and seconds."""
    from kvbench_report.display import Display
    from kvbench_report.published_results import published_results
    from kvbench_report.text.tables import print_csv, print_json, print_table

    results = published_results(benchmark)
    levels = {name: results.level(name) for name in results.columns}
    if as_json or style == "csv":
        rows: list[dict[str, Any]] = [
            {"method": m.name, "prompts": m.prompts}
            | {name: float(level[row]) for name, level in levels.items()}
            for row, m in enumerate(results.methods)
        ]
        print_json(rows) if as_json else print_csv(rows)
        return
    shown = {name: Display.of(c, levels[name]) for name, c in results.columns.items()}
    print_table(
        ["method", "prompts", *(display.title for display in shown.values())],
        [
            [method.name, str(method.prompts)]
            + [display.text(levels[name][row]) for name, display in shown.items()]
            for row, method in enumerate(results.methods)
        ],
        style=FORMATS[style],
    )


published.add_command(explain)


@published.command()
@json_option
def correlations(as_json: bool) -> None:
    """Correlate the two published tables, quantity by quantity, over the 30 methods in both."""
    from kvbench_report.agreement import agreements, common_methods
    from kvbench_report.published_results import published_results
    from kvbench_report.text.tables import print_json, print_table

    movie, story = published_results("moviegen"), published_results("storyeval")
    pairs = common_methods(movie, story)
    compressed = [pair for pair in pairs if pair[0] != movie.reference]
    found = list(
        zip(agreements(movie, story, pairs), agreements(movie, story, compressed), strict=True)
    )
    if as_json:
        print_json([_plain(each, without) for each, without in found])
        return
    headings = ("quantity", "methods", "Pearson", "as stated", "without BF16", "Spearman")
    rows = [
        [
            each.name,
            str(len(each.methods)),
            f"{each.pearson:.6f}",
            _stated(each),
            f"{without.pearson:.6f}",
            f"{each.spearman.value:.4f}",
        ]
        for each, without in found
    ]
    print_table(headings, rows, words=("quantity",))
    click.echo(
        "\nOver the methods that are finite in both tables. Ratio, peak and runtime follow from\n"
        "the same geometry in both, so their agreement says nothing about prompts."
    )


def _stated(found: Agreement) -> str:
    stated = STATED.get(found.name)
    if stated is None:
        return ""
    return f"{stated} {'yes' if _reproduced(found, stated) else 'NO'}"


def _reproduced(found: Agreement, stated: str) -> bool:
    """Whether the correlation rounds to what is stated."""
    digits = len(stated.partition(".")[2])
    return found.pearson is not None and f"{found.pearson:.{digits}f}" == stated


def _plain(found: Agreement, without: Agreement) -> dict[str, Any]:
    stated = STATED.get(found.name)
    return {
        "quantity": found.name,
        "methods": list(found.methods),
        "pearson": found.pearson,
        "pearson_without_bf16": without.pearson,
        "spearman": found.spearman.value,
        "stated": stated,
        "reproduced": None if stated is None else _reproduced(found, stated),
    }
