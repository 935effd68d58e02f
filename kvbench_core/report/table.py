"""One row for each method: what it saves, what it costs, what it does to the video."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean, median, quantiles

from attrs import evolve, frozen

from kvbench_core.report.collect import Collected, collect
from kvbench_core.run.records import (
    SYSTEMS_ONLY,
    CellRecord,
    ColumnRecord,
    Method,
    Peak,
    ScoreRecord,
    Status,
)
from kvbench_core.run.store import RunStore

SHORTEST_S = 1e-9
"""No clock tells shorter times apart, and a ratio to one says nothing."""


@frozen(kw_only=True)
class Spread:
    """A figure over several prompts: its median and its 20th and 80th percentiles."""

    median: float
    low: float
    high: float
    n: int


@frozen(kw_only=True)
class Row:
    """A method's figures over all its prompts; ``None`` where nothing was measured.

    ``peak_bytes`` is the highest of all prompts, in the phase ``peak_phase``. ``runtime_ratio``
    divides by the reference's time on the same prompt. ``scores`` are means over prompts.
    """

    method: str
    integration: str
    is_reference: bool
    cells: int
    failed: int
    compression_ratio: float | None
    stored_bytes: float | None
    dense_bytes: float | None
    peak_bytes: int | None
    peak_phase: str
    runtime_s: Spread | None
    runtime_ratio: Spread | None
    encode_s: float | None
    decode_s: float | None
    video_s: float | None
    scores: Mapping[str, float | None]


@frozen(kw_only=True)
class Table:
    """Everything that a report shows of a run."""

    backend: str
    suite: str
    frames: int
    device: str
    status: Status
    prompts: int
    peak_counter: str
    columns: Sequence[ColumnRecord]
    rows: Sequence[Row]
    failures: Sequence[str]
    notes: Sequence[str]


def build_table(store: RunStore) -> Table:
    """Read a run directory and summarise it.

    Raises:
        StoreError: it is no run directory, or a later kvbench wrote it.
    """
    found = collect(store)
    manifest = found.manifest
    ok = [record for record in found.records if record.status == "ok"]
    blank = manifest.request.systems_only
    columns = [] if blank else _columns(found.scores)
    return Table(
        backend=manifest.request.generator,
        suite=manifest.request.suite,
        frames=manifest.request.frames,
        device=manifest.request.device,
        status=manifest.status,
        prompts=len(manifest.prompts),
        peak_counter=", ".join(sorted({r.figures.peak_counter for r in ok if r.figures})),
        columns=columns,
        rows=_rows(found, columns),
        failures=list(found.failures()),
        notes=[*([SYSTEMS_ONLY] if blank else []), *found.problems, *found.missing_scores()],
    )


def _columns(scores: Mapping[str, tuple[ScoreRecord, ...]]) -> list[ColumnRecord]:
    every = (column for found in scores.values() for score in found for column in score.columns)
    return list({column.name: column for column in every}.values())


def _rows(found: Collected, columns: Sequence[ColumnRecord]) -> list[Row]:
    reference = {
        record.cell.prompt: record.figures.wall_s
        for record in found.records
        if record.cell.method.is_reference and record.figures
    }
    methods = found.manifest.methods
    labels = Counter((method.label, method.integration) for method in methods)
    rows = []
    for method in methods:
        mine = [record for record in found.records if record.cell.method.key == method.key]
        if mine:
            row = _row(method, mine, reference, found.scores, columns)
            # A preset that was redefined between two sessions has one name and two meanings.
            ambiguous = labels[method.label, method.integration] > 1
            rows.append(evolve(row, method=method.expression) if ambiguous else row)
    return rows


def _row(
    method: Method,
    records: list[CellRecord],
    reference: Mapping[str, float],
    scores: Mapping[str, tuple[ScoreRecord, ...]],
    columns: Sequence[ColumnRecord],
) -> Row:
    figures = [record.figures for record in records if record.figures]
    peaks = [(p.peak_bytes, name) for f in figures for p, name in _phases(f.generation, f.decoding)]
    peak, phase = max(peaks, default=(None, ""))
    return Row(
        method=method.label,
        integration=method.integration,
        is_reference=method.is_reference,
        cells=len(records),
        failed=sum(record.status == "failed" for record in records),
        compression_ratio=_median(f.compression_ratio for f in figures),
        stored_bytes=_median(f.kv_stored_bytes[-1] for f in figures),
        dense_bytes=_median(f.kv_dense_bytes[-1] for f in figures),
        peak_bytes=peak,
        peak_phase=phase,
        runtime_s=_spread(f.wall_s for f in figures),
        runtime_ratio=_spread(
            record.figures.wall_s / reference[record.cell.prompt]
            for record in records
            if record.figures and reference.get(record.cell.prompt, 0.0) >= SHORTEST_S
        ),
        encode_s=_median(f.encode_s for f in figures),
        decode_s=_median(f.decode_s for f in figures),
        video_s=_median(f.video_s for f in figures),
        scores={
            column.name: _mean(
                score.values.get(column.name)
                for record in records
                for score in scores[record.cell.id]
            )
            for column in columns
        },
    )


def _phases(generation: Peak, decoding: Peak) -> tuple[tuple[Peak, str], ...]:
    return (generation, "generation"), (decoding, "decoding")


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def _spread(values: Iterable[float]) -> Spread | None:
    known = list(values)
    if not known:
        return None
    cuts = quantiles(known, n=5, method="inclusive") if len(known) > 1 else [known[0]] * 4
    return Spread(median=median(known), low=cuts[0], high=cuts[3], n=len(known))
