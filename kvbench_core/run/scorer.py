"""Scoring one cell: what the metrics say of its video, as records in the run directory."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Literal

from attrs import evolve, field, frozen

from kvbench_core.drift import Curve
from kvbench_core.errors import StoreError
from kvbench_core.metric import FrameMetric, Scores, Video
from kvbench_core.run.job import Job
from kvbench_core.run.loaded_metric import LoadedMetric
from kvbench_core.run.one_pass import in_one_pass
from kvbench_core.run.records import CellError, CellRecord, Environment, ScoreRecord, now
from kvbench_core.run.store import RunStore, file_sha256
from kvbench_core.run.video import StoredVideo

LOCK_WAIT_S = 3600.0
NO_REFERENCE = Scores(
    values={},
    notes={"reason": "neither BF16 nor BF16_WINDOW made this video"},
)

Answer = tuple[Callable[[], Scores], float]
"""Gives or raises what a metric says of a video; and the seconds that were spent on it already."""


@frozen
class Begun:
    """These metrics have begun to score the cell, side by side."""

    metrics: tuple[str, ...]


@frozen
class Result:
    """What became of one metric on one cell."""

    status: Literal["ok", "failed", "unavailable"]
    scores: Scores = field(factory=lambda: Scores(values={}))
    curves: dict[str, Curve] = field(factory=dict)
    error: CellError | None = None
    seconds: float = 0.0


@frozen
class Scorer:
    """Computes scores and stores them."""

    store: RunStore
    prompts: Mapping[str, str]
    environment: Environment
    metrics: Mapping[str, LoadedMetric]
    _verified: dict[str, bool] = field(init=False, factory=dict)

    def score(self, job: Job) -> Iterator[Begun | ScoreRecord]:
        """Have every score of the job, unless another process has made it in the meantime.

        Raises:
            StoreError: the directory cannot be written to.
        """
        cell = job.cell.cell.id
        with self.store.claim(f"{cell}.scores", LOCK_WAIT_S) as ours:
            if not ours:
                raise StoreError(f"another process has been scoring {cell} for an hour")
            missing = []
            for metric in (self.metrics[name] for name in job.metrics):
                record = job.standing(self.store, metric)
                if record is None:
                    missing.append(metric)
                else:
                    yield record
            for metrics in _passes(missing):
                yield Begun(tuple(metric.name for metric in metrics))
                results = self._results(job, metrics)
                for metric, result in zip(metrics, results, strict=True):
                    yield self._stored(job, metric, result)

    def give_up(self, job: Job, metric: str, error: CellError) -> ScoreRecord:
        """Store that a metric could not score the cell."""
        with self.store.claim(f"{job.cell.cell.id}.scores", LOCK_WAIT_S):
            return self._stored(job, self.metrics[metric], Result("failed", error=error))

    def _results(self, job: Job, metrics: Sequence[LoadedMetric]) -> Iterator[Result]:
        """The results of metrics that share a pass, or of one that makes its own."""
        compares = metrics[0].needs_reference
        if compares and job.reference is None:
            yield from [Result("unavailable", NO_REFERENCE)] * len(metrics)
            return
        prompt = self.prompts[job.cell.cell.prompt]
        try:
            video = self._video(job.cell)
            reference = self._video(job.reference) if compares and job.reference else None
            answers = _answers(metrics, video, reference, prompt)
        except Exception as error:  # the videos are damaged, or cannot be compared
            yield from [Result("failed", error=CellError.of(error))] * len(metrics)
            return
        for metric, (answer, seconds) in zip(metrics, answers, strict=True):
            began = time.perf_counter()
            try:
                scores = metric.checked(answer())
                curves = metric.curves(scores, video, reference, prompt)
                result = Result("ok", scores, curves)
            except Exception as error:  # a metric may raise anything; the others go on
                result = Result("failed", error=CellError.of(error))
            yield evolve(result, seconds=seconds + time.perf_counter() - began)

    def _video(self, record: CellRecord) -> StoredVideo:
        """The cell's video, once its content is known to be what was recorded."""
        assert record.video is not None
        path = self.store.video_path(record.cell.id)
        if not path.is_file():
            raise StoreError(f"{path} is missing; `kvbench run` with the same --out makes it again")
        if record.cell.id not in self._verified:
            self._verified[record.cell.id] = file_sha256(path) == record.video.sha256
        if not self._verified[record.cell.id]:
            raise StoreError(f"{path} is not the video that was recorded; delete it and run again")
        return StoredVideo(path, record.video.frames, record.video.fps)

    def _stored(self, job: Job, metric: LoadedMetric, result: Result) -> ScoreRecord:
        video, reference = job.digests(metric)
        record = ScoreRecord(
            cell=job.cell.cell.id,
            metric=metric.name,
            metric_version=metric.version,
            settings=metric.settings,
            video_sha256=video,
            reference_sha256=reference,
            status=result.status,
            columns=metric.columns,
            values=dict(result.scores.values),
            per_frame=dict(result.scores.per_frame),
            drift=result.curves,
            notes=dict(result.scores.notes),
            error=result.error,
            score_s=result.seconds,
            finished=now(),
            environment=self.environment,
        )
        self.store.put_score(record)
        return record


def _passes(metrics: Iterable[LoadedMetric]) -> Iterator[list[LoadedMetric]]:
    """Metrics of single frames together, with reference or without; every other one alone."""
    together: dict[bool, list[LoadedMetric]] = {}
    for metric in metrics:
        if isinstance(metric.metric, FrameMetric):
            together.setdefault(metric.needs_reference, []).append(metric)
        else:
            yield [metric]
    yield from together.values()


def _answers(
    metrics: Sequence[LoadedMetric], video: Video, reference: Video | None, prompt: str
) -> list[Answer]:
    of_frames = [m.metric for m in metrics if isinstance(m.metric, FrameMetric)]
    if of_frames:
        return [(one.scores, one.seconds) for one in in_one_pass(of_frames, video, reference)]
    return [(partial(metric.metric.score, video, reference, prompt), 0.0) for metric in metrics]
