"""The comparison table."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from attrs import evolve
from toy_runs import Notes, plan, run

from kvbench_core.errors import StoreError
from kvbench_core.registry import build_registry
from kvbench_core.report.formats import FORMATS
from kvbench_core.report.table import Table, build_table
from kvbench_core.run.evaluate import evaluate
from kvbench_core.run.export import export_table
from kvbench_core.run.store import RunStore


@pytest.fixture(scope="module")
def scored(toy_site: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("scored") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(toy_site))
        registry = build_registry()
        methods = ("COARSE", "COARSE@reconstruct", "failing")
        run(plan(registry, *methods, prompts="2"), registry, root)
        evaluate(RunStore(root), registry, ("error", "light"), Notes())
    return root


@pytest.fixture
def store(scored: Path, tmp_path: Path) -> RunStore:
    return RunStore(Path(shutil.copytree(scored, tmp_path / "run")))


def test_a_row_for_each_method_and_integration(store: RunStore):
    table = build_table(store)
    assert [(row.method, row.integration, row.cells, row.failed) for row in table.rows] == [
        ("BF16", "streaming", 2, 0),
        ("COARSE", "streaming", 2, 0),
        ("COARSE", "reconstruct", 2, 0),
        ("failing", "streaming", 2, 2),
    ]
    reference, coarse, _, failing = table.rows
    assert reference.is_reference
    assert reference.runtime_ratio.median == 1
    assert reference.scores["mse"] is None
    assert (coarse.compression_ratio, coarse.runtime_ratio.n) == (2.0, 2)
    assert coarse.scores["mse"] > 0
    assert (failing.compression_ratio, failing.runtime_s, failing.peak_bytes) == (None, None, None)
    assert table.failures == [
        "failing on ball: ZeroDivisionError: codes ran out",
        "failing on cube: ZeroDivisionError: codes ran out",
    ]


def test_the_ratio_of_times_is_paired_by_prompt(store: RunStore):
    found, _ = store.cells(store.manifest())
    times = {("BF16", "ball"): 1.0, ("BF16", "cube"): 10.0, ("COARSE", "ball"): 2.0}
    for record in found:
        if record.figures and record.cell.method.integration == "streaming":
            seconds = times.get((record.cell.method.label, record.cell.prompt), 30.0)
            store.put_cell(evolve(record, figures=evolve(record.figures, wall_s=seconds)))
    row = build_table(store).rows[1]
    assert (row.runtime_s.median, row.runtime_ratio.median) == (16.0, 2.5)
    assert (row.runtime_ratio.low, row.runtime_ratio.high) == (2.2, 2.8)


def test_scores_of_videos_that_are_gone_do_not_count(store: RunStore):
    found, _ = store.cells(store.manifest())
    reference = next(record for record in found if record.cell.method.is_reference)
    store.put_cell(evolve(reference, video=evolve(reference.video, sha256="0" * 64)))
    table = build_table(store)
    one_prompt_left = [row.scores["mse"] for row in table.rows[:2]]
    assert one_prompt_left[0] is None
    assert one_prompt_left[1] is not None
    assert table.rows[0].scores["light"] is not None


def test_a_redefined_preset_is_told_apart(store: RunStore):
    def redefine(manifest):
        methods = [evolve(m, label="COARSE", integration="streaming") if m.label == "failing" else m
                   for m in manifest.methods]  # fmt: skip
        return evolve(manifest, methods=methods)

    store.update(redefine)
    names = [row.method for row in build_table(store).rows]
    assert names == ["BF16", "coarse(step=0.25)", "COARSE", "failing()"]


def test_every_format_shows_every_method(store: RunStore):
    table = build_table(store)
    for write in FORMATS.values():
        text = write(table)
        assert "COARSE" in text
        assert "reconstruct" in text
        assert text == text.rstrip("\n")


def test_the_terminal_table_names_units_directions_and_counter(store: RunStore):
    text = FORMATS["terminal"](build_table(store))
    heading = text.splitlines()[0]
    for words in ("ratio", "KV stored MiB", "peak MiB", "runtime s", "x BF16", "mse ↓", "light ↑"):
        assert words in heading
    assert "peak: resident set of the process" in text
    assert "2 of 2" in text
    assert "Failures:" in text
    assert "complete except for failures" in text


def test_markdown_is_a_table(store: RunStore):
    lines = FORMATS["markdown"](build_table(store)).splitlines()
    assert lines[0].startswith("| method")
    assert lines[1].startswith("|---")
    assert "- failing on ball: ZeroDivisionError: codes ran out" in lines


def test_csv_and_json_hold_plain_numbers(store: RunStore):
    table = build_table(store)
    rows = list(csv.DictReader(io.StringIO(FORMATS["csv"](table))))
    data = json.loads(FORMATS["json"](table))
    assert float(rows[1]["stored_bytes"]) == data["rows"][1]["stored_bytes"] == 16384
    assert rows[3]["stored_bytes"] == ""
    assert float(rows[1]["runtime_ratio_median"]) == data["rows"][1]["runtime_ratio"]["median"]
    assert data["columns"][0]["better"] == "higher"


def test_an_empty_run_is_an_empty_table(store: RunStore):
    for path in (store.root / "cells").iterdir():
        path.unlink()
    table = build_table(store)
    assert table.rows == []
    for name, write in FORMATS.items():
        assert write(table)
        assert name == "json" or "No cell" in write(table) or "method" in write(table)


def test_reading_changes_nothing(store: RunStore):
    def state() -> dict[Path, float]:
        return {path: path.stat().st_mtime_ns for path in store.root.rglob("*")}

    before = state()
    build_table(store)
    assert state() == before


def test_damage_is_noted_and_the_rest_is_shown(store: RunStore):
    path = next((store.root / "cells").glob("coarse*"))
    path.write_text(path.read_text()[:50])
    table: Table = build_table(store)
    assert sum(row.cells for row in table.rows) == 7
    assert any("is damaged" in note for note in table.notes)


def test_no_run_is_said(tmp_path: Path):
    with pytest.raises(StoreError, match="is no run directory"):
        RunStore.open(tmp_path)


def test_the_parquet_table_has_a_row_for_each_cell(store: RunStore):
    table = pq.read_table(export_table(store))
    assert table.schema.metadata[b"kvbench_format_version"] == b"2"
    rows = {(row["method"], row["integration"], row["prompt"]): row for row in table.to_pylist()}
    assert len(rows) == 8
    coarse = rows["COARSE", "streaming", "ball"]
    assert coarse["kv_stored_bytes"] == [4096, 8192, 12288, 16384]
    assert coarse["generation_peak_bytes"] > 0
    assert coarse["mse"] > 0
    assert rows["failing", "streaming", "ball"]["error"] == "ZeroDivisionError: codes\nran out"
    assert table.schema.field("mse").metadata[b"better"] == b"lower"
