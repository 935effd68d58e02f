"""``window()`` as a user meets it: planned and in a run."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from kvbench_core.cli import main
from kvbench_core.registry import build_registry
from kvbench_core.specs import BackendSpec, PartSpec

NEEDED = {(PartSpec, "rtn"), (BackendSpec, "tiny"), (BackendSpec, "wan-1.3b")}
pytestmark = pytest.mark.skipif(
    not set(build_registry().entries) >= NEEDED,
    reason="kvbench-rtn and kvbench-selfforcing-wan are not both installed",
)


def test_budget_plans_half():
    arguments = ["BF16_WINDOW", "RTN_INT4+window()", "--backend", "wan-1.3b", "--json"]
    result = CliRunner().invoke(main, ["budget", *arguments], catch_exceptions=False)
    bf16, rtn = json.loads(result.stdout)["methods"]
    assert bf16["stored_bytes"] == 6_038_323_200  # 21 frames
    assert bf16["compression_ratio"] == 2.0
    # 32 760 tokens end in the middle of a group of 16, so 8 older ones stay: 6.398, not 6.4.
    assert rtn["stored_bytes"] == 30 * 32_768 // 16 * 2 * 1536 * (8 + 2)


PAIRS = {"BF16": "BF16_WINDOW", "RTN_INT4": "RTN_INT4+window()"}


def test_a_run_makes_the_same_videos_with_fewer_bytes(tmp_path):
    out = tmp_path / "run"
    methods = ",".join([*PAIRS, *PAIRS.values()])
    arguments = ["run", "-m", methods, "--frames", "24", "--no-evaluate", "--quiet"]
    result = CliRunner().invoke(main, [*arguments, "--out", str(out)], catch_exceptions=False)
    assert result.exit_code == 0
    cells = [json.loads(path.read_text()) for path in (out / "cells").glob("*.json")]
    figures = {cell["cell"]["method"]["label"]: cell["figures"] for cell in cells}
    for method, windowed in PAIRS.items():
        one, other = figures[method], figures[windowed]
        assert one["latents_sha256"] == other["latents_sha256"]
        *before, last = one["kv_stored_bytes"]
        assert other["kv_stored_bytes"][:-1] == before  # the window is 21 frames, 7 chunks
        assert other["kv_stored_bytes"][-1] < last
    *_, full, later = figures["BF16_WINDOW"]["kv_stored_bytes"]
    assert full == later
