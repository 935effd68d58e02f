"""The invented runs that these tests look at."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for synthetic_runs.py, which is no package


@pytest.fixture(autouse=True)
def own_main(monkeypatch: pytest.MonkeyPatch) -> None:
    """Streamlit's test runner puts the app in the place of the main module, and leaves it there."""
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])
