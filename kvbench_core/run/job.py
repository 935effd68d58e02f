"""What an evaluation has to do for one cell, and whether a stored score still stands."""

from __future__ import annotations

from attrs import frozen

from kvbench_core.errors import StoreError
from kvbench_core.run.loaded_metric import LoadedMetric
from kvbench_core.run.records import CellRecord, ScoreRecord
from kvbench_core.run.store import RunStore


@frozen
class Job:
    """Metrics, by name, that one cell is to be scored with.

    ``reference`` is the cell with the BF16 video of the same prompt and seed, if there is one.
    """

    cell: CellRecord
    reference: CellRecord | None
    metrics: tuple[str, ...]

    def digests(self, metric: LoadedMetric) -> tuple[str, str | None]:
        """Of the videos that ``metric`` compares, when they were made."""
        assert self.cell.video is not None
        if not metric.needs_reference or self.reference is None:
            return self.cell.video.sha256, None
        assert self.reference.video is not None
        return self.cell.video.sha256, self.reference.video.sha256

    def standing(self, store: RunStore, metric: LoadedMetric) -> ScoreRecord | None:
        """The stored score, if it was made by this metric, so set, from these videos."""
        try:
            record = store.score(self.cell.cell.id, metric.name)
        except StoreError:
            return None  # damaged: made again
        stands = (
            record is not None
            and record.status != "failed"
            and record.metric_version == metric.version
            and record.settings == metric.settings
            and (record.video_sha256, record.reference_sha256) == self.digests(metric)
            and (record.status != "ok" or bool(record.drift) == metric.has_drift)
        )
        return record if stands else None
