"""The invented runs that these tests look at."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # for synthetic_runs.py, which is no package
