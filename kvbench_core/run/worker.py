"""A worker process: loads the metrics once and scores one cell after another."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path

from attrs import define, field, frozen

from kvbench_core.errors import KvbenchError
from kvbench_core.registry import build_registry
from kvbench_core.run.job import Job
from kvbench_core.run.loaded_metric import load_metrics
from kvbench_core.run.records import Environment, ScoreRecord
from kvbench_core.run.scorer import Begun, Scorer
from kvbench_core.run.store import RunStore

STOP_S = 5.0
SPAWN = get_context("spawn")  # a fork would share CUDA contexts and locks that others hold


@frozen
class Setup:
    """What a worker needs to know to make a scorer of its own."""

    root: Path
    prompts: dict[str, str]
    environment: Environment
    metrics: tuple[str, ...]
    threads: int


@frozen
class Stopped:
    """A worker cannot go on, for a reason that the others have, too."""

    message: str


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
