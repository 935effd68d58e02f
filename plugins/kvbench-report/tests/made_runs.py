"""Run directories with chosen figures, written through the store as `kvbench run` does."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import evolve

from kvbench_core.run.records import (
    CellError,
    CellKey,
    CellRecord,
    ColumnRecord,
    Environment,
    Figures,
    Manifest,
    Method,
    Peak,
    Request,
    ScoreRecord,
    Session,
    VideoFile,
)
from kvbench_core.run.store import RunStore
from kvbench_core.suite import Prompt

NOW = "2026-11-21T10:00:00+00:00"
DENSE = 64_000
BF16 = Method(label="BF16", expression="bf16()", integration="streaming")
COLUMNS = {
    "ssim": ("", "higher", True),
    "lpips": ("", "lower", True),
    "stlpips": ("", "lower", True),
    "psnr": ("dB", "higher", True),
    "imaging_quality": ("", "higher", False),
    "drift_last": ("", "higher", False),
    "piqe_drift_last": ("", "lower", False),
}


def digest(*words: object) -> str:
    return hashlib.sha256(repr(words).encode()).hexdigest()


def method(name: str) -> Method:
    """`RTN_INT4` and so on; the expression only has to be distinct here."""
    label, _, integration = name.partition("@")
    if label == "BF16":
        return BF16
    return Method(
        label=label, expression=f"{label.lower()}()", integration=integration or "streaming"
    )


def environment(**packages: str) -> Environment:
    return Environment(python="3.11", platform="Linux", device="cpu", threads=2,
                       packages={"kvbench-core": "0.1.0", **packages}, git=None)  # fmt: skip


class MadeRun:
    """Fills a run directory cell by cell."""

    def __init__(
        self, root: Path, methods: Sequence[str], prompts: Sequence[str], **request: Any
    ) -> None:
        self.store = RunStore(root)
        self.environment = environment()
        self.manifest = Manifest(
            status="complete",
            request=Request(**{"backend": "toy", "suite": "toy-suite", "frames": 6, "seed": 0,
                               "device": "cpu", "kernel": "reference", "cache_dtype": "bfloat16",
                               **request}),
            methods=[method(name) for name in methods],
            prompts=[Prompt(id=name, index=i, text=f"a {name}") for i, name in enumerate(prompts)],
            prompt_digest=digest(*prompts),
            sessions=[Session(id="s1", started=NOW, finished=NOW, status="complete",
                              given={}, environment=self.environment)],
        )  # fmt: skip
        self.store.begin(self.manifest)

    def key(self, name: str, prompt: str) -> CellKey:
        index = [each.id for each in self.manifest.prompts].index(prompt)
        attached = method(name)
        stem = f"{attached.label.lower()}-{attached.integration}--{prompt}"
        return CellKey(id=stem, method=attached, prompt=prompt,
                       seed=self.manifest.request.seed + index,
                       frames=self.manifest.request.frames)  # fmt: skip

    def cell(
        self, name: str, prompt: str, *, ratio: float = 1.0, peak: int = 1000,
        runtime: float = 1.0, scores: Mapping[str, float | None] | None = None,
    ) -> CellRecord:  # fmt: skip
        key = self.key(name, prompt)
        stored = round(DENSE / ratio)
        record = CellRecord(
            cell=key, status="ok", started=NOW, finished=NOW, session="s1", kernel="reference",
            environment=self.environment,
            figures=Figures(
                wall_s=runtime, chunk_s=[runtime / 2] * 2, encode_s=0.1, decode_s=0.1, video_s=0.1,
                kv_stored_bytes=[stored // 2, stored], kv_dense_bytes=[DENSE // 2, DENSE],
                compression_ratio=ratio, scratch_peak_bytes=10,
                generation=Peak(before_bytes=1, peak_bytes=peak),
                decoding=Peak(before_bytes=1, peak_bytes=peak // 2),
                peak_counter="torch.cuda.max_memory_allocated", skipped_passes=0,
                latents_sha256=digest(key.id),
            ),
            video=VideoFile(sha256=digest("video", key.id), bytes=10, frames=9, width=8, height=8,
                            fps=16.0),
        )  # fmt: skip
        self.store.put_cell(record)
        for column, value in (scores or {}).items():
            self.score(record, column, value)
        return record

    def failed(self, name: str, prompt: str, message: str = "out of memory") -> None:
        self.store.put_cell(CellRecord(
            cell=self.key(name, prompt), status="failed", started=NOW, finished=NOW, session="s1",
            kernel="reference", environment=self.environment,
            error=CellError(type="RuntimeError", message=message, traceback="Traceback"),
        ))  # fmt: skip

    def score(self, record: CellRecord, column: str, value: float | None, **changes: Any) -> None:
        unit, better, relative = COLUMNS[column]
        assert record.video is not None
        made = ScoreRecord(
            cell=record.cell.id, metric=column, metric_version="1", settings={},
            video_sha256=record.video.sha256,
            reference_sha256=digest("video", self.key("BF16", record.cell.prompt).id)
            if relative else None,
            status="ok",
            columns=[ColumnRecord(name=column, unit=unit, better=better, summary=column)],
            values={column: value}, per_frame={}, notes={}, score_s=0.1, finished=NOW,
            environment=self.environment,
        )  # fmt: skip
        self.store.put_score(evolve(made, **changes))
