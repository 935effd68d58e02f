"""Worker processes: each loads the metrics once and scores one cell after another.

A crash costs what the worker was scoring. If that was several metrics in one pass, each is tried
again alone, so that only the culprit is lost.
"""

from __future__ import annotations

import os
import signal
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

import psutil
from attrs import define, evolve, field, frozen

from kvbench_core.errors import KvbenchError
from kvbench_core.registry import build_registry
from kvbench_core.run.job import Job
from kvbench_core.run.loaded_metric import load_metrics
from kvbench_core.run.records import Environment, ScoreRecord
from kvbench_core.run.scorer import Begun, Scorer
from kvbench_core.run.store import RunStore

STOP_S = 5.0
WORKER_BYTES = 4 * 2**30
"""What a worker may need whose metrics hold models."""
VIDEOS_PER_WORKER = 8
"""Fewer do not pay for starting a process that has to load the metrics."""
GPU_WORKERS = 4
"""More would only crowd its memory."""
SPAWN = get_context("spawn")  # a fork would share CUDA contexts and locks that others hold


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


@frozen
class Setup:
    """What a worker needs to know to make a scorer of its own."""

    root: Path
    prompts: dict[str, str]
    environment: Environment
    metrics: tuple[str, ...]
    threads: int

    @classmethod
    def like(cls, scorer: Scorer, processes: int) -> Setup:
        """For workers that do what ``scorer`` does and share the cores."""
        threads = max(1, cores() // processes)
        return cls(
            scorer.store.root,
            dict(scorer.prompts),
            scorer.environment,
            tuple(scorer.metrics),
            threads,
        )


@frozen
class Died:
    """The process that computed a metric is gone."""

    metric: str
    message: str


@frozen
class Stopped:
    """A worker cannot go on, for a reason that the others have, too."""

    message: str


Event = Begun | ScoreRecord | Died
IDLE = None


def serve(connection: Connection, setup: Setup) -> None:
    """Score the jobs that come, and send back what happens: the worker's main function."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches everyone; the parent decides
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # lets go of files in order
    sys.stdout = sys.stderr  # what a metric prints is no result
    os.environ.setdefault("OMP_NUM_THREADS", str(setup.threads))  # before a metric imports torch
    try:
        metrics, _ = load_metrics(build_registry(), setup.metrics)
        scorer = Scorer(
            RunStore(setup.root),
            setup.prompts,
            setup.environment,
            {metric.name: metric for metric in metrics},
        )
        while True:
            for event in scorer.score(connection.recv()):
                connection.send(event)
            connection.send(IDLE)
    except KvbenchError as error:
        connection.send(Stopped(str(error)))
    except (EOFError, BrokenPipeError):  # the parent is gone
        return


@define(eq=False)
class Worker:
    """A worker process, seen from the one that gives it work."""

    connection: Connection
    process: SpawnProcess
    job: Job | None = None
    begun: tuple[str, ...] = ()
    ended: set[str] = field(factory=set)

    @classmethod
    def start(cls, setup: Setup) -> Worker:
        """Start one; it gets ready while this process goes on."""
        ours, theirs = SPAWN.Pipe()
        process = SPAWN.Process(target=serve, args=(theirs, setup))
        process.start()
        theirs.close()
        return cls(ours, process)

    def give(self, job: Job) -> None:
        """Hand over a job. That the worker is gone shows when it is heard next."""
        self.job, self.begun, self.ended = job, (), set()
        with suppress(OSError):
            self.connection.send(job)

    def hear(self) -> Begun | ScoreRecord | None:
        """What happens next to the job; ``None`` when it is done.

        Raises:
            EOFError, OSError: the process is gone.
            KvbenchError: it cannot go on.
        """
        event: Begun | ScoreRecord | Stopped | None = self.connection.recv()
        if isinstance(event, Stopped):
            raise KvbenchError(event.message)
        if isinstance(event, Begun):
            self.begun = event.metrics
        elif isinstance(event, ScoreRecord):
            self.ended.add(event.metric)
        else:
            self.job = None
        return event

    def obituary(self) -> str:
        """How the process ended, in words."""
        self.process.join()
        code = self.process.exitcode or 0
        if code >= 0:
            return f"the process that computed it ended with exit code {code}"
        name = signal.Signals(-code).name
        return f"the process that computed it was ended by {name}; if memory ran out, use --jobs 1"

    def stop(self) -> None:
        """End the process: gently, and by force where that does not help."""
        self.process.join(STOP_S)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        self.connection.close()


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
    jobs: Sequence[Job], processes: int, setup: Setup
) -> Iterator[tuple[Job, Event]]:
    """What happens to the jobs, as it happens.

    Raises:
        KvbenchError: the directory cannot be written to, or a worker dies before it can score.
    """
    pool = Pool(setup, [Worker.start(setup) for _ in range(processes)], deque(jobs))
    try:
        yield from pool.run()
    finally:
        pool.stop()
