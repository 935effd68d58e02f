"""Runs of the toy generator, for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from attrs import define, field

from kvbench_core.registry import Registry
from kvbench_core.run.plan import Plan, make_plan
from kvbench_core.run.runner import Outcome, run_plan
from kvbench_core.run.store import RunStore


@define
class Notes:
    """A listener that remembers."""

    started: list[str] = field(factory=list)
    finished: list[tuple[str, str]] = field(factory=list)
    said: list[str] = field(factory=list)
    planned: tuple[int, int, int] = (0, 0, 0)
    steps: int = 0

    def plan(self, items: int, finished: int, steps: int) -> None:
        self.planned = items, finished, steps

    def note(self, text: str) -> None:
        self.said.append(text)

    def start(self, item: str) -> None:
        self.started.append(item)

    def step(self, done: int) -> None:
        self.steps += 1

    def finish(self, item: str, result: str) -> None:
        self.finished.append((item, result))


def plan(registry: Registry, *methods: str, **changes: Any) -> Plan:
    request: dict[str, Any] = {
        "backend": "toy", "methods": methods, "integration": "streaming", "suite": None,
        "prompts": "1", "seed": 0, "frames": None, "device": "cpu", "kernel": "reference",
    }  # fmt: skip
    return make_plan(registry, **(request | changes))


def run(made: Plan, registry: Registry, root: Path) -> tuple[Outcome, Notes]:
    notes = Notes()
    return run_plan(made, RunStore(root), registry, notes, given={"methods": "x"}), notes
