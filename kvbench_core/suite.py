"""Prompt suites."""

from __future__ import annotations

from collections import Counter

from attrs import Attribute, field, frozen
from attrs.validators import min_len

from kvbench_core.errors import KvbenchError


@frozen(kw_only=True)
class Prompt:
    """One prompt. ``index`` is its place in the suite; the seed of a cell is base + index."""

    id: str
    index: int
    text: str = field(validator=min_len(1))


@frozen(kw_only=True)
class Suite:
    """An ordered list of prompts with distinct ids."""

    name: str
    prompts: tuple[Prompt, ...] = field()

    @prompts.validator
    def _distinct(self, _: Attribute[tuple[Prompt, ...]], prompts: tuple[Prompt, ...]) -> None:
        if not prompts:
            raise KvbenchError(f"suite {self.name} has no prompt")
        twice = [name for name, n in Counter(prompt.id for prompt in prompts).items() if n > 1]
        if twice:
            raise KvbenchError(f"suite {self.name} has more than one prompt with id {twice[0]!r}")
