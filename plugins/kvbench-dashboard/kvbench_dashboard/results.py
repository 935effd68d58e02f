"""What is looked at, as the arrays that every analysis of ``kvbench_report`` starts from."""

from __future__ import annotations

import pandas as pd

from kvbench_dashboard.data import Run
from kvbench_report.columns import FIGURES
from kvbench_report.results import Column, MethodInfo, Results

FIGURE_OF = {"runtime_s": "wall_s"}
"""Columns of the analysis that the table of cells calls otherwise."""


def columns_of(run: Run) -> dict[str, Column]:
    """Every column that a method can be judged on: measured figures, then scores."""
    return {name: column for name, (column, _) in FIGURES.items()} | dict(run.scores)


def results_of(run: Run, cells: pd.DataFrame) -> Results:
    """``cells``, which are some of the run's, as methods by prompts."""
    names = list(dict.fromkeys(cells["name"]))
    prompts = list(dict.fromkeys(cells.sort_values("prompt_place")["prompt"]))
    made = cells[cells["status"] == "ok"]
    columns = columns_of(run)
    values = {}
    for name, column in columns.items():
        wide = made.pivot(index="name", columns="prompt", values=FIGURE_OF.get(name, name))
        found = wide.reindex(index=names, columns=prompts)
        if column.of_reference is not None:
            reference = cells.loc[cells["is_reference"], "name"].unique()
            found.loc[reference] = found.loc[reference].fillna(column.of_reference)
        values[name] = found.to_numpy(dtype=float)
    return Results(
        title=run.name,
        methods=tuple(_info(rows) for _, rows in cells.groupby("name", sort=False)),
        prompts=tuple(prompts),
        columns=columns,
        values=values,
        settings={},
    )


def _info(rows: pd.DataFrame) -> MethodInfo:
    first = rows.iloc[0]
    failed = int((rows["status"] != "ok").sum())
    return MethodInfo(
        name=first["name"],
        label=first["name"],
        expression=first["expression"],
        integration=first["integration"],
        is_reference=bool(first["is_reference"]),
        prompts=len(rows) - failed,
        failed=failed,
    )
