"""What is looked at, as the arrays that every analysis of ``kvbench_report`` starts from."""

from __future__ import annotations

import numpy as np
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
    methods = cells.drop_duplicates("name")
    prompts = tuple(cells.sort_values("prompt_place")["prompt"].unique())
    rows = pd.Index(methods["name"]).get_indexer(cells["name"])
    places = pd.Index(prompts).get_indexer(cells["prompt"])
    made = (cells["status"] == "ok").to_numpy()
    columns = columns_of(run)
    values = {}
    for name, column in columns.items():
        found = np.full((len(methods), len(prompts)), np.nan)
        found[rows[made], places[made]] = cells[FIGURE_OF.get(name, name)].to_numpy()[made]
        if column.of_reference is not None:
            unknown = methods["is_reference"].to_numpy()[:, None] & np.isnan(found)
            found[unknown] = column.of_reference
        values[name] = found
    infos = zip(
        methods[["name", "expression", "integration", "is_reference"]].itertuples(index=False),
        np.bincount(rows[made], minlength=len(methods)),
        np.bincount(rows[~made], minlength=len(methods)),
        strict=True,
    )
    return Results(
        title=run.name,
        methods=tuple(
            MethodInfo(
                name=name,
                label=name,
                expression=expression,
                integration=integration,
                is_reference=bool(is_reference),
                prompts=int(good),
                failed=int(bad),
            )
            for (name, expression, integration, is_reference), good, bad in infos
        ),
        prompts=prompts,
        columns=columns,
        values=values,
        settings={},
    )
