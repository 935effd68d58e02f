"""Reports and analyses of runs and of the published tables: hooks only."""

from __future__ import annotations

from kvbench_core.hookspecs import hookimpl
from kvbench_core.specs import CommandSpec


@hookimpl
def kvbench_commands() -> list[CommandSpec]:
    """The analyses."""
    return [
        CommandSpec(
            name="report",
            summary="Write a page, figures and tables of a run.",
            target="kvbench_report.cli.report:report",
        ),
        CommandSpec(
            name="frontier",
            summary="Say which methods no other beats, and who dominates the others.",
            target="kvbench_report.cli.frontier:frontier",
        ),
        CommandSpec(
            name="recommend",
            summary="Rank the methods that meet your limits; say why the others do not.",
            target="kvbench_report.cli.recommend:recommend",
        ),
        CommandSpec(
            name="compare",
            summary="Set a run beside a published table, or beside another run.",
            target="kvbench_report.cli.compare:compare",
        ),
        CommandSpec(
            name="published",
            summary="The published study's figures: tables, correlations, peaks explained.",
            target="kvbench_report.cli.published:published",
        ),
    ]
