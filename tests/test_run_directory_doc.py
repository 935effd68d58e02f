"""The run directory's documentation names every field that is written."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest

from kvbench_core.run import records
from kvbench_core.suite import Prompt

TEXT = (Path(__file__).parents[1] / "docs" / "run-directory.md").read_text(encoding="utf-8")
CLASSES = [
    kind
    for kind in (*vars(records).values(), Prompt)
    if isinstance(kind, type) and attrs.has(kind) and "kvbench_core" in kind.__module__
]


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_field_is_explained(kind: type):
    missing = [field.name for field in attrs.fields(kind) if f"`{field.name}`" not in TEXT]
    assert not missing


def test_the_version_is_the_current_one():
    assert f"Format version {records.FORMAT_VERSION}." in TEXT
