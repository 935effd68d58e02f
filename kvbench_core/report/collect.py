"""Everything that a run directory holds of its cells, for whoever summarises it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from attrs import frozen

from kvbench_core.errors import printable
from kvbench_core.run.listener import reason, title
from kvbench_core.run.records import CellRecord, Manifest, ScoreRecord
from kvbench_core.run.references import references
from kvbench_core.run.store import RunStore


@frozen(kw_only=True)
class Collected:
    """The readable records of a run, and the scores of the videos that are there now.

    ``scores`` has an entry for each record, by the cell's id. ``problems`` says, line by line,
    what could not be read.
    """

    manifest: Manifest
    records: tuple[CellRecord, ...]
    scores: Mapping[str, tuple[ScoreRecord, ...]]
    problems: tuple[str, ...]

    def failures(self) -> Iterator[str]:
        """What went wrong while cells were made and scored, a line each."""
        for record in self.records:
            if record.error:
                yield f"{title(record.cell)}: {reason(record.error)}"
            for score in self.scores[record.cell.id]:
                if score.error:
                    yield f"{title(record.cell)}, metric {score.metric}: {reason(score.error)}"

    def missing_scores(self) -> Iterator[str]:
        """Why scores are not available, a line each."""
        for record in self.records:
            for score in self.scores[record.cell.id]:
                if score.status == "unavailable":
                    why = printable(str(score.notes.get("reason", "not available")))
                    yield f"{title(record.cell)}: no {score.metric}: {why}"


def collect(store: RunStore) -> Collected:
    """Read a run directory.

    Raises:
        StoreError: it is no run directory, or a later kvbench wrote it.
    """
    manifest = store.manifest()
    records, problems = store.cells(manifest)
    digests = {
        pairing: record.video.sha256
        for pairing, record in references(records).items()
        if record.video
    }
    scores = {}
    for record in records:
        found, damaged = store.scores(record.cell.id)
        scores[record.cell.id] = tuple(
            score
            for score in found
            if record.video is not None
            and score.video_sha256 == record.video.sha256
            and score.reference_sha256 in (None, digests.get(record.cell.pairing))
        )
        problems += damaged
    return Collected(
        manifest=manifest, records=tuple(records), scores=scores, problems=tuple(problems)
    )
