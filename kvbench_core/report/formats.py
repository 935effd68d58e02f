"""A table as text: for a terminal, as Markdown, CSV or JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping

from attrs import asdict
from tabulate import tabulate

from kvbench_core.report.table import Row, Spread, Table
from kvbench_core.run.records import ColumnRecord, Status

MIB = 2**20
ARROWS = {"higher": "↑", "lower": "↓"}
NOTHING = "-"
STATES: Mapping[Status, str] = {
    "complete": "complete",
    "failed": "complete except for failures",
    "interrupted": "interrupted: the same command resumes it",
    "running": "not finished: the same command resumes it, unless it is still running",
}


def terminal(table: Table) -> str:
    """For reading in a terminal."""
    return _page(table, "simple", bullet="  ")


def markdown(table: Table) -> str:
    """For pasting into an issue or a README."""
    return _page(table, "github", bullet="- ")


def as_json(table: Table) -> str:
    """Everything, in bytes and seconds."""
    return json.dumps(asdict(table), indent=2, ensure_ascii=False)


def as_csv(table: Table) -> str:
    """One line for each method, in bytes and seconds; an empty field was not measured."""
    out = io.StringIO()
    rows = [{"backend": table.backend, **_flat(row)} for row in table.rows]
    writer = csv.DictWriter(out, rows[0] if rows else ["backend", "method"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().rstrip("\n")


FORMATS: Mapping[str, Callable[[Table], str]] = {
    "terminal": terminal,
    "markdown": markdown,
    "csv": as_csv,
    "json": as_json,
}


def _flat(row: Row) -> dict[str, object]:
    flat: dict[str, object] = {}
    for name, value in asdict(row).items():
        if name == "scores":
            flat |= value
        elif name in ("runtime_s", "runtime_ratio"):
            spread = value or {}
            flat |= {f"{name}_{part}": spread.get(part) for part in ("median", "low", "high")}
        else:
            flat[name] = value
    return flat


def _page(table: Table, style: str, bullet: str) -> str:
    cells = [_cells(row, table) for row in table.rows]
    names = [name for name in (cells[0] if cells else {}) if any(line[name] for line in cells)]
    body = tabulate(
        [[line[name] or NOTHING for name in names] for line in cells],
        headers=names,
        tablefmt=style,
        disable_numparse=True,
        colalign=["left" if name in ("method", "integration") else "right" for name in names],
    )
    parts = [body if cells else "No cell has been made yet.", "\n".join(_legend(table))]
    for title, lines in (("Failures", table.failures), ("Notes", table.notes)):
        if lines:
            parts.append("\n".join([f"{title}:", "", *(bullet + line for line in lines)]))
    return "\n\n".join(parts)


def _cells(row: Row, table: Table) -> dict[str, str]:
    """A row's texts by heading; empty where there is nothing to say."""
    mixed = len({other.integration for other in table.rows}) > 1
    return {
        "method": row.method,
        "integration": row.integration if mixed else "",
        "failed": f"{row.failed} of {row.cells}" if row.failed else "",
        "ratio": _number(row.compression_ratio, 3),
        "KV stored MiB": _number(row.stored_bytes, 2, MIB),
        "peak MiB": f"{_number(row.peak_bytes, 1, MIB)} {row.peak_phase[:3]}".strip(),
        "runtime s": _number(row.runtime_s.median if row.runtime_s else None, 2),
        "x BF16": _relative(row.runtime_ratio),
        **{_heading(column): _score(row, column) for column in table.columns},
    }


def _heading(column: ColumnRecord) -> str:
    unit = f" {column.unit}" if column.unit not in ("", "1") else ""
    return f"{column.name}{unit} {ARROWS[column.better]}"


def _score(row: Row, column: ColumnRecord) -> str:
    return _number(row.scores[column.name], 2 if column.unit == "dB" else 4)


def _number(value: float | None, digits: int, unit: int = 1) -> str:
    return "" if value is None else f"{value / unit:.{digits}f}"


def _relative(spread: Spread | None) -> str:
    if spread is None:
        return ""
    around = f" [{spread.low:.2f} {spread.high:.2f}]" if spread.n > 1 else ""
    return f"{spread.median:.2f}{around}"


def _legend(table: Table) -> list[str]:
    some = "1 prompt" if table.prompts == 1 else f"{table.prompts} prompts"
    lines = [
        f"{table.backend}, suite {table.suite}, {some}, {table.frames} latent frames, "
        f"{table.device}; {STATES[table.status]}"
    ]
    if table.peak_counter:
        lines.append(f"peak: {table.peak_counter}; gen = generation, dec = video decoding")
    if any(row.runtime_ratio and row.runtime_ratio.n > 1 for row in table.rows):
        lines.append("x BF16: median over prompts of paired ratios [20th 80th percentile]")
    return lines
