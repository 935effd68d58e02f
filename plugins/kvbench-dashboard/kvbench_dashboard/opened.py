"""Which runs the dashboard shows. Streamlit runs its pages as scripts, so the process knows."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

VARIABLE = "KVBENCH_DASHBOARD_RUNS"


def remember(runs: Sequence[Path]) -> None:
    """Show these run directories, each once."""
    os.environ[VARIABLE] = json.dumps(list(dict.fromkeys(str(run.resolve()) for run in runs)))


def opened_runs() -> list[Path]:
    """The run directories, in the order of the command line."""
    return [Path(run) for run in json.loads(os.environ[VARIABLE])]
