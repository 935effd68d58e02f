"""Scoring the videos of a run directory: only what is missing or out of date."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping

from attrs import field, frozen

from kvbench_core.drift import Curve
from kvbench_core.errors import StoreError
from kvbench_core.metric import Scores
from kvbench_core.registry import Registry
from kvbench_core.run.environment import environment
from kvbench_core.run.listener import Listener, reason, title
from kvbench_core.run.loaded_metric import LoadedMetric, load_metrics
from kvbench_core.run.maker import describe, now
from kvbench_core.run.records import SYSTEMS_ONLY, CellRecord, Environment, ScoreRecord
from kvbench_core.run.store import RunStore, file_sha256
from kvbench_core.run.video import StoredVideo

LOCK_WAIT_S = 3600.0
NO_REFERENCE = "there is no BF16 video of this prompt and seed"


@frozen
class Evaluation:
    """What an evaluation came to: scores there are, and reasons why others are not."""

    ok: int
    failed: int
    problems: list[str]


@frozen
class Task:
    """One metric on one cell, with the reference's cell where the metric wants one."""

    metric: LoadedMetric
    cell: CellRecord
    reference: CellRecord | None

    def is_answered_by(self, record: ScoreRecord | None) -> bool:
        """Whether a stored result stands: made by this metric, so set, from these videos."""
        return (
            record is not None
            and record.status != "failed"
            and record.metric_version == self.metric.version
            and record.settings == self.metric.settings
            and (record.video_sha256, record.reference_sha256) == self.digests()
            and (record.status != "ok" or bool(record.drift) == self.metric.has_drift)
        )

    def digests(self) -> tuple[str, str | None]:
        """What the videos' digests were when they were made."""
        assert self.cell.video is not None
        if not self.metric.needs_reference or self.reference is None:
            return self.cell.video.sha256, None
        assert self.reference.video is not None
        return self.cell.video.sha256, self.reference.video.sha256


def evaluate(
    store: RunStore, registry: Registry, names: Iterable[str] | None, listener: Listener
) -> Evaluation:
    """Score every video of the directory with each metric.

    Raises:
        KvbenchError: no such metric, or a directory that cannot be used.
    """
    manifest = store.manifest()
    if manifest.request.systems_only:
        listener.note(SYSTEMS_ONLY)
        return Evaluation(0, 0, [SYSTEMS_ONLY])
    metrics, problems = load_metrics(registry, names)
    cells, damaged = store.cells(manifest)
    problems += damaged
    tasks = _tasks(metrics, [cell for cell in cells if cell.status == "ok"])
    open_tasks = [task for task in tasks if not task.is_answered_by(_stored(store, task))]
    listener.plan(len(tasks), len(tasks) - len(open_tasks), 1)
    for problem in problems:
        listener.note(problem)
    prompts = {prompt.id: prompt.text for prompt in manifest.prompts}
    scorer = Scorer(store, prompts, environment(registry, "cpu"), listener)
    statuses = [scorer.score(task) for task in open_tasks]
    failed = statuses.count("failed")
    return Evaluation(len(tasks) - failed, failed, problems)


def _tasks(metrics: list[LoadedMetric], cells: list[CellRecord]) -> list[Task]:
    """The reference is not compared with itself."""
    references = {_pairing(r): r for r in cells if r.cell.method.is_reference}
    return [
        Task(metric, record, references.get(_pairing(record)))
        for record in cells
        for metric in metrics
        if not (metric.needs_reference and record.cell.method.is_reference)
    ]


def _pairing(record: CellRecord) -> tuple[str, int, int]:
    return record.cell.prompt, record.cell.seed, record.cell.frames


def _stored(store: RunStore, task: Task) -> ScoreRecord | None:
    try:
        return store.score(task.cell.cell.id, task.metric.name)
    except StoreError:
        return None  # damaged: made again


@frozen
class Scorer:
    """Computes and stores scores."""

    store: RunStore
    prompts: Mapping[str, str]
    environment: Environment
    listener: Listener
    _verified: dict[str, bool] = field(init=False, factory=dict)

    def score(self, task: Task) -> str:
        """Have one score, unless another process has made it; returns its status."""
        cell = task.cell.cell.id
        what = f"{task.metric.name} of {title(task.cell.cell)}"
        with self.store.claim(f"{cell}.scores", LOCK_WAIT_S) as ours:
            if not ours:
                raise StoreError(f"another process has been scoring {cell} for an hour")
            record = _stored(self.store, task)
            if record is None or not task.is_answered_by(record):
                self.listener.start(what)
                record = self._scored(task)
                self.store.put_score(record)
        result = f"FAILED: {reason(record.error)}" if record.error else record.status
        self.listener.finish(what, f"{result}, {record.score_s:.1f} s")
        return record.status

    def _scored(self, task: Task) -> ScoreRecord:
        scores, curves, status, error = Scores(values={}), dict[str, Curve](), "ok", None
        began = time.perf_counter()
        if task.metric.needs_reference and task.reference is None:
            scores, status = Scores(values={}, notes={"reason": NO_REFERENCE}), "unavailable"
        else:
            try:
                scores, curves = self._compute(task)
            except Exception as raised:  # a metric may raise anything; the others go on
                status, error = "failed", describe(raised)
        video, reference = task.digests()
        return ScoreRecord(
            cell=task.cell.cell.id,
            metric=task.metric.name,
            metric_version=task.metric.version,
            settings=task.metric.settings,
            video_sha256=video,
            reference_sha256=reference,
            status=status,  # type: ignore[arg-type]
            columns=task.metric.columns,
            values=dict(scores.values),
            per_frame=dict(scores.per_frame),
            drift=curves,
            notes=dict(scores.notes),
            error=error,
            score_s=time.perf_counter() - began,
            finished=now(),
            environment=self.environment,
        )

    def _compute(self, task: Task) -> tuple[Scores, dict[str, Curve]]:
        video = self._video(task.cell)
        wants = task.metric.needs_reference and task.reference is not None
        reference = self._video(task.reference) if wants and task.reference else None
        prompt = self.prompts[task.cell.cell.prompt]
        scores = task.metric.score(video, reference, prompt)
        return scores, task.metric.curves(scores, video, reference, prompt)

    def _video(self, record: CellRecord) -> StoredVideo:
        """The cell's video, once its content is known to be what was recorded."""
        assert record.video is not None
        path = self.store.video_path(record.cell.id)
        if record.cell.id not in self._verified:
            same = path.is_file() and file_sha256(path) == record.video.sha256
            self._verified[record.cell.id] = same
        if not self._verified[record.cell.id]:
            raise StoreError(f"{path} is not the video that was recorded; delete it and run again")
        return StoredVideo(path, record.video.frames, record.video.fps)
