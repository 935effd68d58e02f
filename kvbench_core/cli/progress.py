"""Progress on the standard error stream: bars in a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import click
from attrs import define, field
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)


@define
class Quiet:
    """Says nothing, but keeps count."""

    total: int = 0
    done: int = 0

    def plan(self, items: int, finished: int, steps: int) -> None:
        self.total, self.done = items, finished

    def note(self, text: str) -> None:
        pass

    def start(self, item: str) -> None:
        pass

    def step(self, done: int) -> None:
        pass

    def finish(self, item: str, result: str) -> None:
        self.done += 1


@define
class Lines(Quiet):
    """One line when something begins or ends, with the time that is left."""

    _made: int = 0
    _began: float = field(factory=time.monotonic)

    def plan(self, items: int, finished: int, steps: int) -> None:
        self.total, self.done, self._made = items, finished, 0
        self._began = time.monotonic()
        if finished:
            self.note(f"{finished} of {items} exist already")

    def note(self, text: str) -> None:
        click.echo(text, err=True)

    def start(self, item: str) -> None:
        self.note(f"[{self.done + 1}/{self.total}] {item}{self._left()}")

    def _left(self) -> str:
        if not self._made:
            return ""
        seconds = (time.monotonic() - self._began) / self._made * (self.total - self.done)
        return f" (about {seconds:.0f} s left)"

    def finish(self, item: str, result: str) -> None:
        self.done += 1
        self._made += 1
        self.note(f"[{self.done}/{self.total}] {item}: {result}")


@define
class Bar(Quiet):
    """A bar over all items that moves with each step."""

    progress: Progress = field(kw_only=True)
    _task: TaskID | None = None
    _steps: int = 1

    def plan(self, items: int, finished: int, steps: int) -> None:
        self.total, self.done, self._steps = items, finished, steps
        self._task = self.progress.add_task(
            "", total=items * steps, completed=finished * steps, items=f"{finished}/{items}"
        )

    def note(self, text: str) -> None:
        self.progress.console.print(text, highlight=False, markup=False)

    def start(self, item: str) -> None:
        assert self._task is not None
        self.progress.update(self._task, description=item)
        self.step(0)

    def step(self, done: int) -> None:
        assert self._task is not None
        self.progress.update(
            self._task,
            completed=self.done * self._steps + done,
            items=f"{self.done}/{self.total}",
        )

    def finish(self, item: str, result: str) -> None:
        self.done += 1
        self.note(f"[{self.done}/{self.total}] {item}: {result}")
        self.step(0)


@contextmanager
def progress(quiet: bool) -> Iterator[Quiet]:
    """The fitting way to show progress; listens to runs and to evaluations."""
    if quiet:
        yield Quiet()
    elif not sys.stderr.isatty():
        yield Lines()
    else:
        columns = (
            TextColumn("{task.fields[items]}"),
            BarColumn(),
            TextColumn("{task.description}", markup=False),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
            yield Bar(progress=bars)
