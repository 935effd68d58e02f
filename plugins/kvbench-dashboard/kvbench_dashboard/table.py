"""``cells.parquet`` as a table that can be relied on, or the same made anew in memory."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
from attrs import frozen
from pyarrow import parquet

from kvbench_core.errors import StoreError
from kvbench_core.run.export import TABLE, cells_table
from kvbench_core.run.records import FORMAT_VERSION
from kvbench_core.run.store import MANIFEST, RunStore

TEXTS = ("cell", "method", "expression", "integration", "prompt", "status", "error", "kernel",
         "device", "weights", "peak_counter", "video_sha256", "latents_sha256")  # fmt: skip
NUMBERS = ("seed", "frames", "wall_s", "encode_s", "decode_s", "video_s", "compression_ratio",
           "scratch_peak_bytes", "generation_before_bytes", "generation_peak_bytes",
           "decoding_before_bytes", "decoding_peak_bytes", "skipped_passes")  # fmt: skip
TRACES = ("chunk_s", "kv_stored_bytes", "kv_dense_bytes", "memory_bytes")
CURVE = ("_drift_frames", "_drift_scores")
"""Endings of a score's drift curve: prefix lengths in frames, and the score of each prefix."""
TYPES: dict[str, pa.DataType] = {
    **dict.fromkeys(TEXTS, pa.string()),
    **dict.fromkeys(NUMBERS, pa.float64()),
    **dict.fromkeys(TRACES, pa.list_(pa.float64())),
}
MADE = ("run", "name", "family", "is_reference", "stored_bytes", "dense_bytes", "peak_bytes",
        "runtime_s", "method_place", "prompt_place")  # fmt: skip
"""Columns that the dashboard adds; a score of one of these names is left out."""


@frozen
class CellTable:
    """``table`` has the columns of ``TYPES``, and a float64 column for each score.

    Curves are lists of float64. ``why_derived`` says why the table was not read from the file;
    ``None`` if it was.
    """

    table: pa.Table
    why_derived: str | None


class _UnusableError(Exception):
    """The file cannot be used; the message says why."""


def read_table(store: RunStore) -> CellTable:
    """The cells of a run: from ``cells.parquet`` if it is there, up to date and sound.

    Raises:
        KvbenchError: a later kvbench wrote the records, or they make no table.
    """
    try:
        return CellTable(_from_file(store.root / TABLE, fingerprint(store.root)), None)
    except _UnusableError as reason:
        why = f"{TABLE} {reason}"
    try:
        return CellTable(_typed(cells_table(store)), why)
    except pa.ArrowException as error:
        raise StoreError(f"the scores in {store.root} contradict one another: {error}") from error


def fingerprint(root: Path) -> tuple[int, int, int]:
    """Times (ns) of manifest, records and table; changes whenever one of them does.

    A record is renamed into place, so its folder's time says when one came last.
    """
    scores = root / "scores"
    records = [_time(root / "cells"), _time(scores)]
    with suppress(OSError), os.scandir(scores) as folders:  # no scores yet
        records += [folder.stat().st_mtime_ns for folder in folders]
    return _time(root / MANIFEST), max(records), _time(root / TABLE)


def _time(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _from_file(path: Path, times: tuple[int, int, int]) -> pa.Table:
    _, records, table = times
    if not table:
        raise _UnusableError("is not there")
    if table < records:
        raise _UnusableError("is older than the records")
    try:
        found = parquet.read_table(path)
        version = (found.schema.metadata or {}).get(b"kvbench_format_version")
        if version != str(FORMAT_VERSION).encode():
            raise _UnusableError("has another format version")
        if not all(
            field.name in TYPES or _is_curve(field) or field.metadata for field in found.schema
        ):
            raise _UnusableError("does not say what its scores mean")
        return _typed(found)
    except (OSError, KeyError, pa.ArrowException) as error:
        raise _UnusableError(f"cannot be read: {error}") from error


def _typed(found: pa.Table) -> pa.Table:
    fields = [pa.field(name, kind) for name, kind in TYPES.items()]
    for field in found.schema:
        if field.name not in TYPES and field.name not in MADE:
            kind = TYPES[TRACES[0]] if _is_curve(field) else pa.float64()
            fields.append(pa.field(field.name, kind, metadata=field.metadata))
    columns = []
    for field in fields:
        known = field.name in found.column_names
        column = found.column(field.name) if known else pa.nulls(found.num_rows)
        columns.append(column.cast(field.type))
    return pa.table(columns, schema=pa.schema(fields))


def _is_curve(field: pa.Field) -> bool:
    return bool(field.name.endswith(CURVE))
