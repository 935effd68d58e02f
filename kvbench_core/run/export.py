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
        table = cells_table(store)
        with_whole_file(path, lambda partial: _write(table, partial))
    return path


def _write(table: pa.Table, path: Path) -> None:
    with path.open("wb") as file:  # Arrow itself opens no path that is not valid UTF-8
        parquet.write_table(table, file)


def cells_table(store: RunStore) -> pa.Table:
    """The table in memory; a score's column has ``unit``, ``better`` and ``summary``."""
    rows: list[dict[str, Any]] = []
    meanings: dict[str, dict[str, str]] = {}
    manifest = store.manifest()
    records = store.cells(manifest)[0]
    videos = {None, *(record.video.sha256 for record in records if record.video)}
    for record in records:
        found = store.scores(record.cell.id)[0]
        scores = [score for score in found if score.reference_sha256 in videos]
        rows.append(_row(record, scores) | {"weights": manifest.request.weights})
        for column in (column for score in scores for column in score.columns):
            meaning = {
                "unit": column.unit, "better": column.better, "summary": column.summary,
            }  # fmt: skip
            per_100 = f"{column.unit} per 100 frames".lstrip()
            meanings[column.name] = meanings[f"{column.name}_drift_last"] = meaning
            meanings[f"{column.name}_drift_slope"] = meaning | {"unit": per_100}
    names = dict.fromkeys(name for row in rows for name in row)
    columns = {name: pa.array([row.get(name) for row in rows]) for name in names}
    schema = pa.schema(
        [pa.field(name, columns[name].type, metadata=meanings.get(name)) for name in names],
        metadata={"kvbench_format_version": str(FORMAT_VERSION)},
    )
    return pa.table(columns, schema=schema)


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
            for name, value in _columns(score).items():
                row.setdefault(name, value)  # no metric takes the place of what was measured
    return row


def _columns(score: ScoreRecord) -> dict[str, Any]:
    columns: dict[str, Any] = dict(score.values)
    for name, curve in score.drift.items():
        columns[f"{name}_drift_last"] = curve.last
        columns[f"{name}_drift_slope"] = curve.slope
        columns[f"{name}_drift_frames"] = curve.frames
        columns[f"{name}_drift_scores"] = curve.scores
    return columns
