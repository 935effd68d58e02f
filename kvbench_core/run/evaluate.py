"""Scoring the videos of a run directory: only what is missing or out of date."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from contextlib import closing

from attrs import evolve, frozen

from kvbench_core.registry import Registry
from kvbench_core.run.environment import environment
from kvbench_core.run.job import Job
from kvbench_core.run.listener import Listener, reason, title
from kvbench_core.run.loaded_metric import LoadedMetric, load_metrics
from kvbench_core.run.pool import Died, Event, default_processes, score_in_processes
from kvbench_core.run.records import SYSTEMS_ONLY, CellError, CellRecord
from kvbench_core.run.references import references
from kvbench_core.run.scorer import Begun, Scorer
from kvbench_core.run.store import RunStore


@frozen
class Evaluation:
    """What an evaluation came to: scores there are, and reasons why others are not."""

    ok: int
    failed: int
    problems: list[str]


def evaluate(
    store: RunStore,
    registry: Registry,
    names: Iterable[str] | None,
    listener: Listener,
    *,
    processes: int | None = None,
) -> Evaluation:
    """Score every video of the directory with each metric.

    ``processes`` score side by side, by default as many as pay; with one it is this process, so
    that a debugger can look on.

    Raises:
        KvbenchError: no such metric, one that was named cannot be used here, or a directory that
            cannot be used.
    """
    manifest = store.manifest()
    if manifest.request.systems_only:
        listener.note(SYSTEMS_ONLY)
        return Evaluation(0, 0, [SYSTEMS_ONLY])
    metrics, problems = load_metrics(registry, names)
    cells, damaged = store.cells(manifest)
    problems += damaged
    jobs = list(_jobs(metrics, [cell for cell in cells if cell.status == "ok"]))
    unanswered = [missing for job in jobs if (missing := _missing(store, job, metrics)).metrics]
    total, to_do = (sum(len(job.metrics) for job in some) for some in (jobs, unanswered))
    listener.plan(total, total - to_do, 1)
    for problem in problems:
        listener.note(problem)
    scorer = Scorer(
        store,
        {prompt.id: prompt.text for prompt in manifest.prompts},
        environment(registry, "cpu"),
        {metric.name: metric for metric in metrics},
    )
    with closing(_events(scorer, unanswered, processes)) as events:
        failed = sum(_told(scorer, listener, *event) for event in events)
    return Evaluation(total - failed, failed, problems)


def _jobs(metrics: Iterable[LoadedMetric], cells: list[CellRecord]) -> Iterator[Job]:
    """Every metric on every cell; but the reference is not compared with itself."""
    found = references(cells)
    for cell in cells:
        fitting = [
            metric.name
            for metric in metrics
            if not (metric.needs_reference and cell.cell.method.is_reference)
        ]
        yield Job(cell, found.get(cell.cell.pairing), tuple(fitting))


def _missing(store: RunStore, job: Job, metrics: Iterable[LoadedMetric]) -> Job:
    """What is left of a job without the scores that stand."""
    missing = [m.name for m in metrics if m.name in job.metrics and not job.standing(store, m)]
    return evolve(job, metrics=tuple(missing))


def _events(
    scorer: Scorer, jobs: list[Job], processes: int | None
) -> Generator[tuple[Job, Event], None, None]:
    number = min(processes or default_processes(len(jobs)), len(jobs))
    if number > 1:
        yield from score_in_processes(scorer, jobs, number)
    else:
        yield from ((job, event) for job in jobs for event in scorer.score(job))


def _told(scorer: Scorer, listener: Listener, job: Job, event: Event) -> bool:
    """Tell the listener what happened; returns whether a score could not be computed."""
    cell = title(job.cell.cell)
    if isinstance(event, Begun):
        listener.start(f"{', '.join(event.metrics)} of {cell}")
        return False
    if isinstance(event, Died):
        event = scorer.give_up(
            job, event.metric, CellError(type="ProcessDied", message=event.message, traceback="")
        )
    result = f"FAILED: {reason(event.error)}" if event.error else event.status
    listener.finish(f"{event.metric} of {cell}", f"{result}, {event.score_s:.1f} s")
    return event.status == "failed"
