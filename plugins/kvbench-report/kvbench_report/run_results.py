"""A run directory as :class:`Results`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from kvbench_core.report.collect import Collected, collect
from kvbench_core.run.records import CellRecord, ColumnRecord, Figures, Method, ScoreRecord
from kvbench_core.run.store import RunStore
from kvbench_report.columns import FIGURES, score_columns
from kvbench_report.results import Floats, MethodInfo, Results


def read_run(root: Path) -> Results:
    """The results of a run directory; nothing in it is changed.

    Raises:
        KvbenchError: it is no run directory, or a later kvbench wrote it.
    """
    return run_results(collect(RunStore.open(root)), title=root.name or str(root))


def run_results(found: Collected, title: str) -> Results:
    """The results of what was collected from a run directory.

    Methods and prompts keep the manifest's order; a method without any record is left out.
    """
    cells, odd = _placed(found)
    made = {key for key, _ in cells}
    methods = [method for method in found.manifest.methods if method.key in made]
    prompts = tuple(prompt.id for prompt in found.manifest.prompts)
    table = _Table(methods, prompts, cells)
    columns = {name: column for name, (column, _) in FIGURES.items()}
    values = {name: table.figures(read) for name, (_, read) in FIGURES.items()}
    mixed: list[str] = []
    for declared, scores in _score_columns(found):
        for column, read in score_columns(declared, list(scores.values())):
            columns[column.name] = column
            values[column.name] = table.scores(scores, read, column.of_reference)
        mixed += _mixed(scores)
    return Results(
        title=title,
        methods=tuple(_info(method, methods, cells) for method in methods),
        prompts=prompts,
        columns=columns,
        values=values,
        settings=_settings(found),
        failures=tuple(found.failures()),
        problems=(*found.problems, *odd, *dict.fromkeys(mixed), *found.missing_scores()),
    )


Cells = dict[tuple[tuple[str, str], str], CellRecord]
Scores = dict[str, ScoreRecord]


def _placed(found: Collected) -> tuple[Cells, list[str]]:
    """Records by method and prompt, and what is wrong with records that have no place."""
    request = found.manifest.request
    index = {prompt.id: prompt.index for prompt in found.manifest.prompts}
    cells: Cells = {}
    odd = []
    for record in found.records:
        cell = record.cell
        if (cell.seed, cell.frames) != (request.seed + index[cell.prompt], request.frames):
            odd.append(f"{cell.id} is left out: made with another seed or length than the run's")
        elif (cell.method.key, cell.prompt) in cells:
            odd.append(f"{cell.id} is left out: another record is of the same method and prompt")
        else:
            cells[cell.method.key, cell.prompt] = record
    return cells, odd


class _Table:
    """Fills arrays of methods by prompts."""

    def __init__(self, methods: list[Method], prompts: tuple[str, ...], cells: Cells) -> None:
        self._shape = len(methods), len(prompts)
        self._cells = [
            (row, column, cells[method.key, prompt])
            for row, method in enumerate(methods)
            for column, prompt in enumerate(prompts)
            if (method.key, prompt) in cells
        ]

    def figures(self, read: Callable[[Figures], float | None]) -> Floats:
        values = np.full(self._shape, np.nan)
        for row, column, record in self._cells:
            value = read(record.figures) if record.figures else None
            if value is not None:
                values[row, column] = value
        return values

    def scores(
        self,
        found: Scores,
        read: Callable[[ScoreRecord], float | None],
        of_reference: float | None,
    ) -> Floats:
        values = np.full(self._shape, np.nan)
        for row, column, record in self._cells:
            score = found.get(record.cell.id)
            value = read(score) if score else None
            if value is None and record.video and record.cell.method.is_reference:
                value = of_reference
            if value is not None:
                values[row, column] = value
        return values


def _score_columns(found: Collected) -> Iterator[tuple[ColumnRecord, Scores]]:
    """Every declared column with the results that have it, by cell.

    Of two metrics with one column name, the first counts; a figure's name is not for metrics.
    """
    every = [score for scores in found.scores.values() for score in scores]
    owner: dict[str, str] = {}
    for score in every:
        for column in score.columns:
            if column.name not in owner and column.name not in FIGURES:
                owner[column.name] = score.metric
                yield column, {s.cell: s for s in every if s.metric == score.metric}


def _mixed(scores: Scores) -> Iterator[str]:
    kinds = {(s.metric_version, str(sorted(s.settings.items()))) for s in scores.values()}
    if len(kinds) > 1:
        metric = next(iter(scores.values())).metric
        yield (
            f"scores of {metric} come from different versions or settings; "
            "`kvbench evaluate` computes them anew"
        )


def _info(method: Method, methods: list[Method], cells: Cells) -> MethodInfo:
    mine = [record for (key, _), record in cells.items() if key == method.key]
    failed = sum(record.figures is None for record in mine)
    return MethodInfo(
        name=_name(method, methods),
        label=method.label,
        expression=method.expression,
        integration=method.integration,
        is_reference=method.is_reference,
        prompts=len(mine) - failed,
        failed=failed,
    )


def _name(method: Method, methods: list[Method]) -> str:
    """The label, or the expression of a preset that was redefined between two sessions."""
    labels = Counter((other.label, other.integration) for other in methods)
    unique = labels[method.label, method.integration] == 1
    attached = "" if method.integration == "streaming" else f"@{method.integration}"
    return (method.label if unique else method.expression) + attached


def _settings(found: Collected) -> dict[str, str]:
    """What was asked for, and the versions that the cells were made with."""
    request = found.manifest.request
    environments = [record.environment for record in found.records]
    facts = {
        "generator": [request.generator],
        "suite": [request.suite],
        "prompt digest": [found.manifest.prompt_digest[:12]],
        "latent frames": [str(request.frames)],
        "seed": [str(request.seed)],
        "device": [request.device, *(environment.device for environment in environments)],
        "kernel": [record.kernel for record in found.records],
        "cache dtype": [request.cache_dtype or ""],
        "peak counter": [r.figures.peak_counter for r in found.records if r.figures],
    }
    for package in sorted({name for e in environments for name in e.packages}):
        facts[package] = [environment.packages.get(package, "") for environment in environments]
    return {name: ", ".join(sorted({v for v in values if v})) for name, values in facts.items()}
