"""Cells scored side by side, in worker processes.

A crash costs what the worker was scoring. If that was several metrics in one pass, each is tried
again alone, so that only the culprit is lost.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Sequence
from multiprocessing.connection import wait
from typing import Any

import psutil
from attrs import define, evolve, frozen

from kvbench_core.errors import KvbenchError
from kvbench_core.run.job import Job
from kvbench_core.run.records import ScoreRecord
from kvbench_core.run.scorer import Begun, Scorer
from kvbench_core.run.worker import Setup, Worker

WORKER_BYTES = 4 * 2**30
"""What a worker may need whose metrics hold models."""
VIDEOS_PER_WORKER = 8
"""Fewer do not pay for starting a process that has to load the metrics."""
GPU_WORKERS = 4
"""More would only crowd its memory."""


def cores() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def default_processes(videos: int) -> int:
    """How many workers to score so many videos with; one means that none is started.

    A worker for each core, as far as memory allows, each with enough to do to pay for its start.
    """
    import torch

    memory = psutil.virtual_memory().total // WORKER_BYTES
    limit = GPU_WORKERS if torch.cuda.is_available() else cores()
    return max(1, min(cores(), memory, limit, videos // VIDEOS_PER_WORKER))


def setup_like(scorer: Scorer, processes: int) -> Setup:
    """For workers that do what ``scorer`` does and share the cores."""
    return Setup(
        root=scorer.store.root,
        prompts=dict(scorer.prompts),
        environment=scorer.environment,
        metrics=tuple(scorer.metrics),
        threads=max(1, cores() // processes),
    )


@frozen
class Died:
    """The process that computed a metric is gone."""

    metric: str
    message: str


Event = Begun | ScoreRecord | Died


@define
class Pool:
    """Workers, and the jobs that wait for one."""

    setup: Setup
    workers: list[Worker]
    waiting: deque[Job]

    def run(self) -> Iterator[tuple[Job, Event]]:
        """What happens to each job, until all are done."""
        while busy := self._busy():
            for connection in wait(busy):
                yield from self._heard(busy[connection])

    def _busy(self) -> dict[Any, Worker]:
        """Workers with a job by their connections, once every idle one has been given one."""
        for worker in self.workers:
            if worker.job is None and self.waiting:
                worker.give(self.waiting.popleft())
        return {worker.connection: worker for worker in self.workers if worker.job is not None}

    def _heard(self, worker: Worker) -> Iterator[tuple[Job, Event]]:
        job = worker.job
        assert job is not None
        try:
            event = worker.hear()
        except (EOFError, OSError):
            yield from self._replaced(worker, job)
        else:
            if event is not None:
                yield job, event

    def _replaced(self, worker: Worker, job: Job) -> Iterator[tuple[Job, Event]]:
        """Put another worker in the place of a dead one; what it had left to do waits again."""
        message = worker.obituary()
        if not worker.begun:
            raise KvbenchError(f"a worker process cannot score: {message}")
        self.workers[self.workers.index(worker)] = Worker.start(self.setup)
        open_ = [metric for metric in job.metrics if metric not in worker.ended]
        suspects = [metric for metric in open_ if metric in worker.begun]
        if rest := [metric for metric in open_ if metric not in suspects]:
            self.waiting.append(evolve(job, metrics=tuple(rest)))
        if len(suspects) == 1:
            yield job, Died(suspects[0], message)
        else:
            self.waiting.extend(evolve(job, metrics=(metric,)) for metric in suspects)

    def stop(self) -> None:
        """End all processes."""
        for worker in self.workers:
            worker.process.terminate()
        for worker in self.workers:
            worker.stop()


def score_in_processes(
    scorer: Scorer, jobs: Sequence[Job], processes: int
) -> Iterator[tuple[Job, Event]]:
    """What happens to the jobs, as it happens, in workers that do what ``scorer`` does.

    Raises:
        KvbenchError: the directory cannot be written to, or a worker dies before it can score.
    """
    setup = setup_like(scorer, processes)
    pool = Pool(setup, [Worker.start(setup) for _ in range(processes)], deque(jobs))
    try:
        yield from pool.run()
    finally:
        pool.stop()
