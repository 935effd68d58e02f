"""Which runs the dashboard shows. Streamlit runs its pages as scripts, so the process knows."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

VARIABLE = "KVBENCH_DASHBOARD_RUNS"
RUNS_KEY = "runs"
"""Of the choice among several, in a session's state."""


def remember(runs: Sequence[Path]) -> None:
    """Show these run directories, each once."""
    os.environ[VARIABLE] = json.dumps(list(dict.fromkeys(str(run.resolve()) for run in runs)))


def opened_runs() -> list[Path]:
    """The run directories, in the order of the command line."""
    return [Path(run) for run in json.loads(os.environ[VARIABLE])]


def runs_by_name() -> dict[str, Path]:
    """The same by their folders' names, with as much of the way there as tells them apart."""
    roots = opened_runs()
    short = Counter(root.name for root in roots)
    return {root.name if short[root.name] == 1 else str(root): root for root in roots}


def chosen_runs(state: Mapping[Any, Any]) -> list[str]:
    """The names of those that a session looks at, at first the first one."""
    return list(state.get(RUNS_KEY) or []) or list(runs_by_name())[:1]
