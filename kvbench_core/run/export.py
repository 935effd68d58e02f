"""``cells.parquet``: every cell with its scores as one row, for data frames and SQL."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
from attrs import asdict
from pyarrow import parquet

from kvbench_core.run.records import FORMAT_VERSION, CellRecord, Peak, ScoreRecord
from kvbench_core.run.serial import with_whole_file
from kvbench_core.run.store import FOREVER, RunStore

TABLE = "cells.parquet"


def export_table(store: RunStore) -> Path:
    """Derive the table anew from the cells and scores that there are; returns its path."""
    path = store.root / TABLE
    with store.claim("table", FOREVER):
        records, _ = store.cells(store.manifest())
        rows = [_row(record, store.scores(record.cell.id)[0]) for record in records]
        names = dict.fromkeys(name for row in rows for name in row)
        columns = {name: [row.get(name) for row in rows] for name in names}
        table = pa.table(columns, metadata={"kvbench_format_version": str(FORMAT_VERSION)})
        with_whole_file(path, lambda partial: parquet.write_table(table, partial))
    return path


def _row(record: CellRecord, scores: list[ScoreRecord]) -> dict[str, Any]:
    row: dict[str, Any] = {
        "cell": record.cell.id,
        "method": record.cell.method.label,
        "expression": record.cell.method.expression,
        "integration": record.cell.method.integration,
        "prompt": record.cell.prompt,
        "seed": record.cell.seed,
        "frames": record.cell.frames,
        "status": record.status,
        "error": f"{record.error.type}: {record.error.message}" if record.error else None,
        "kernel": record.kernel,
        "device": record.environment.device,
        "video_sha256": record.video.sha256 if record.video else None,
    }
    if record.figures:
        for name, value in asdict(record.figures, recurse=False).items():
            if isinstance(value, Peak):
                row[f"{name}_before_bytes"] = value.before_bytes
                row[f"{name}_peak_bytes"] = value.peak_bytes
            else:
                row[name] = value
    for score in scores:
        if record.video and score.video_sha256 == record.video.sha256:
            row |= score.values
    return row
