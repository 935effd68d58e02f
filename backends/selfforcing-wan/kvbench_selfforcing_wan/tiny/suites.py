"""The small model's prompt suites."""

from __future__ import annotations

from kvbench_core.suite import Prompt, Suite
from kvbench_selfforcing_wan.tiny.sampling import suite_prompts


def single_shot() -> Suite:
    """Suite ``tiny``."""
    return _suite("tiny")


def story() -> Suite:
    """Suite ``tiny-story``."""
    return _suite("tiny-story")


def _suite(name: str) -> Suite:
    texts = enumerate(suite_prompts(name))
    return Suite(name=name, prompts=tuple(Prompt(id=f"{i:04d}", index=i, text=t) for i, t in texts))
