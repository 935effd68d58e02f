"""Suites whose prompts are published as a file that belongs to its authors and is not shipped."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from attrs import evolve, frozen
from platformdirs import user_cache_path

from kvbench_core.suite import Suite, SuiteError, SuiteUnavailableError, read_suite


@frozen(kw_only=True)
class PromptFile:
    """Where a suite's published prompts come from, and how to know them."""

    suite: str
    variable: str
    """An environment variable that may name another file to read instead."""
    url: str
    sha256: str
    bytes: int

    @property
    def cached(self) -> Path:
        """Where ``kvbench suites fetch`` puts the file, and where a copy may be put by hand."""
        return user_cache_path("kvbench") / "prompts" / f"{self.suite}.txt"

    def is_intact(self, path: Path) -> bool:
        """Whether ``path`` is the published file, byte by byte."""
        content = path.read_bytes() if path.is_file() else b""
        return hashlib.sha256(content).hexdigest() == self.sha256

    def load(self) -> Suite:
        """The suite, from the file that the environment variable names or from the cache.

        Raises:
            SuiteUnavailableError: there is no such file; the message says how to get it.
            SuiteError: it cannot be read, or the cached one is not the published file.
        """
        given = os.environ.get(self.variable)
        if given:
            return evolve(self._named(given), name=self.suite)
        if not self.cached.exists():
            raise SuiteUnavailableError(
                f"the prompts of {self.suite} are not on this machine: run "
                f"`kvbench suites fetch {self.suite}`, put the file at {self.cached}, or set "
                f"{self.variable} to its path"
            )
        if not self.is_intact(self.cached):
            raise SuiteError(
                f"{self.cached} is not the published file: delete it and run `kvbench suites fetch "
                f"{self.suite}`, or set {self.variable} to its path to use it as it is"
            )
        return evolve(read_suite(self.cached), name=self.suite)

    def _named(self, path: str) -> Suite:
        try:
            return read_suite(Path(path).expanduser())
        except SuiteError as error:
            raise SuiteError(f"{self.variable} names {error}") from error


# The published study used the first ten lines of each, with the line's index, from 0, as seed.
MOVIEGEN = PromptFile(
    suite="moviegen",
    variable="KVBENCH_MOVIEGEN",
    url="https://raw.githubusercontent.com/guandeh17/Self-Forcing/main/prompts/"
    "MovieGenVideoBench_extended.txt",
    sha256="50293c2717c8f2df5773154d4680c74e636ecb08eb4fe13cdce7357d0ab9d121",
    bytes=657_775,
)
STORYEVAL = PromptFile(
    suite="storyeval",
    variable="KVBENCH_STORYEVAL",
    url="https://raw.githubusercontent.com/ypwang61/StoryEval/main/prompts/all_prompts.txt",
    sha256="1c75ab1c0237dc52735306d24c208b7d3ca5391917b73978eae02402115b7b6c",
    bytes=35_707,
)
PROMPT_FILES = {file.suite: file for file in (MOVIEGEN, STORYEVAL)}


def moviegen() -> Suite:
    """The 1003 extended prompts of MovieGenVideoBench, as published with Self-Forcing."""
    return PROMPT_FILES["moviegen"].load()


def storyeval() -> Suite:
    """The 423 prompts of StoryEval."""
    return PROMPT_FILES["storyeval"].load()
