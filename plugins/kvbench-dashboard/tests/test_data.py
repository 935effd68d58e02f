"""The table that the pages read: the same figures as the analysis reads from the records."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from attrs import evolve
from pyarrow import parquet
from synthetic_runs import CHUNKS, labels, write_run

from kvbench_core.run.export import TABLE, cells_table
from kvbench_core.run.store import RunStore
from kvbench_dashboard.data import read_run
from kvbench_dashboard.results import results_of
from kvbench_dashboard.table import read_table
from kvbench_report.run_results import read_run as read_records


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("runs") / "mine"
    return write_run(root, labels(4), 3, failing=("RTN_02",), videos=False).root


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    return shutil.copytree(made, tmp_path / "mine", copy_function=shutil.copy2)


def test_the_figures_are_those_of_the_records(root: Path):
    run = read_run(root, "mine", 0)
    ours, records = results_of(run, run.cells), read_records(root)
    assert ours.names == records.names
    assert ours.prompts == records.prompts
    assert set(ours.columns) == set(records.columns)
    for name, column in records.columns.items():
        np.testing.assert_array_equal(ours.values[name], records.values[name], err_msg=name)
        assert (ours.columns[name].unit, ours.columns[name].better) == (column.unit, column.better)
    assert [method.failed for method in ours.methods] == [0, 0, 3, 0]


def test_traces_have_a_row_for_each_chunk(root: Path):
    run = read_run(root, "mine", 0)
    cell = run.cells["cell"].iloc[0]
    record = RunStore(root).cell(cell)
    assert record is not None
    assert record.figures is not None
    traces = run.traces([cell])
    assert list(traces["step"]) == list(range(1, CHUNKS + 1))
    assert list(traces["kv_stored_bytes"]) == record.figures.kv_stored_bytes


def test_the_file_is_read_when_it_is_up_to_date(root: Path):
    assert read_table(RunStore(root)).why_derived is None


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda path: path.unlink(), "is not there"),
        (lambda path: os.utime(path, (1, 1)), "is older"),
        (lambda path: path.write_bytes(b"PAR1 nonsense"), "cannot be read"),
        (lambda path: rewritten(path, lambda t: t.replace_schema_metadata({})), "format version"),
        (lambda path: rewritten(path, wrong_types), "cannot be read"),
        (lambda path: rewritten(path, without_meaning), "does not say"),
    ],
)
def test_otherwise_the_table_is_made_anew(root: Path, spoil, why: str):
    spoil(root / TABLE)
    found = read_table(RunStore(root))
    assert why in (found.why_derived or "")
    expected = cells_table(RunStore(root))
    assert found.table.column("ssim").to_pylist() == expected.column("ssim").to_pylist()


def rewritten(path: Path, change) -> None:
    parquet.write_table(change(parquet.read_table(path)), path)


def wrong_types(table: pa.Table) -> pa.Table:
    place = table.column_names.index("wall_s")
    return table.set_column(place, "wall_s", pa.array(["soon"] * len(table)))


def without_meaning(table: pa.Table) -> pa.Table:
    return table.append_column("mystery", pa.array([1.0] * len(table)))


def test_a_score_with_a_name_of_ours_is_left_out(root: Path):
    path = root / TABLE
    field = pa.field("name", pa.float64(), metadata={"unit": "", "better": "higher"})
    rewritten(path, lambda table: table.append_column(field, pa.array([1.0] * len(table))))
    run = read_run(root, "mine", 0)
    assert run.why_derived is None
    assert set(run.cells["name"]) == set(labels(4))


def test_scores_against_a_reference_that_is_gone_are_left_out(tmp_path: Path):
    store = write_run(tmp_path / "mine", labels(3), 2)
    for record in store.cells(store.manifest())[0]:
        if record.cell.method.is_reference:
            assert record.video is not None
            store.put_cell(evolve(record, video=evolve(record.video, sha256="0" * 64)))
    run = read_run(store.root, "mine", 0)
    assert "ssim" not in run.scores
    assert "ssim" not in read_records(store.root).columns
