"""docs/analysis.md shows what the commands print."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from kvbench_core.cli import main
from kvbench_report.frontier import FRONTIERS
from kvbench_report.recommend import PRESETS

DOC = Path(__file__).parents[3] / "docs" / "analysis.md"
BLOCK = re.compile(r"<!-- output: kvbench (.*?) -->\n```\n(.*?)```", re.DOTALL)


@pytest.mark.parametrize(("line", "shown"), BLOCK.findall(DOC.read_text()))
def test_outputs_are_current(line, shown):
    assert shown.strip(), "the block is empty"
    assert CliRunner().invoke(main, shlex.split(line)).stdout == shown


def test_rules_are_current():
    text = DOC.read_text()
    short = {"compression ratio": "ratio", "peak memory": "peak"}
    orders = {name: rule.objectives for name, rule in FRONTIERS.items()} | dict(PRESETS)
    for name, axes in orders.items():
        words = ", ".join(short.get(axis.name, axis.name) for axis in axes)
        assert f"| `{name}` | {words} |" in text
