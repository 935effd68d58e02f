"""Run directories with invented figures, written through the store, of any size."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import numpy as np

from kvbench_core.drift import Curve
from kvbench_core.run.export import export_table
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
from kvbench_core.run.store import RunStore, file_sha256
from kvbench_core.run.video import write_video
from kvbench_core.suite import Prompt

NOW = "2026-11-21T12:00:00.000+00:00"
CHUNKS = 7
VIDEO_FRAMES, HEIGHT, WIDTH = 12, 32, 48
HERE = Environment(
    python="3.11.7", platform="Linux", device="cpu", threads=1, packages={"torch": "2.15"}, git=None
)
SSIM = ColumnRecord(name="ssim", unit="1", better="higher", summary="similarity to BF16")
DIGEST = hashlib.sha256(b"nothing").hexdigest()


def labels(count: int) -> list[str]:
    """BF16 and ``count - 1`` more."""
    return ["BF16", *(f"RTN_{place:02}" for place in range(1, count))]


def write_run(
    root: Path,
    methods: list[str],
    prompts: int,
    *,
    prompt_text: str = "a blue ring",
    scored: bool = True,
    videos: bool = True,
    failing: tuple[str, ...] = (),
    weights: str | None = None,
) -> RunStore:
    """A finished run. ``failing`` methods have no figures; without ``videos`` there are none."""
    known = [_method(label) for label in methods]
    asked = [Prompt(id=f"p{i:03}", index=i, text=f"{prompt_text} {i}") for i in range(prompts)]
    store = RunStore(root)
    store.begin(_manifest(known, asked, weights))
    random = np.random.default_rng(7)
    references: dict[str, str] = {}
    for method in known:
        for prompt in asked:
            record = _cell(store, method, prompt, random, method.label in failing, videos)
            store.put_cell(record)
            if scored and record.video and not method.is_reference:
                store.put_score(_score(record, references.get(prompt.id, DIGEST), random))
            elif record.video:
                references[prompt.id] = record.video.sha256
    export_table(store)
    return store


def _method(label: str) -> Method:
    expression = "bf16()" if label == "BF16" else f"rtn(bits=4, tag={label!r})"
    return Method(label=label, expression=expression, integration="streaming")


def _manifest(methods: list[Method], prompts: list[Prompt], weights: str | None) -> Manifest:
    return Manifest(
        status="complete",
        request=Request(
            backend="invented", suite="invented", frames=3 * CHUNKS, seed=0, device="cpu",
            weights=weights,
        ),
        methods=methods,
        prompts=prompts,
        prompt_digest=DIGEST,
        sessions=[Session(id="s", started=NOW, status="complete", given={}, environment=HERE)],
    )  # fmt: skip


def _cell(
    store: RunStore,
    method: Method,
    prompt: Prompt,
    random: np.random.Generator,
    fails: bool,
    videos: bool,
) -> CellRecord:
    place = f"{method.label}-{prompt.id}"
    name = f"{hashlib.sha256(place.encode()).hexdigest()[:12]}--{prompt.id}"
    key = CellKey(id=name, method=method, prompt=prompt.id, seed=prompt.index, frames=3 * CHUNKS)
    common = {
        "cell": key, "started": NOW, "finished": NOW, "session": "s", "kernel": "reference",
        "environment": HERE,
    }  # fmt: skip
    if fails:
        error = CellError(type="MemoryError", message="no <b>room</b> left", traceback="...")
        return CellRecord(status="failed", error=error, **common)
    digest, size = _video(store, name, method, prompt) if videos else (DIGEST, 1)
    video = VideoFile(
        sha256=digest, bytes=size, frames=VIDEO_FRAMES, width=WIDTH, height=HEIGHT, fps=8.0
    )
    return CellRecord(status="ok", figures=_figures(method, random), video=video, **common)


def frames_of(method: str, prompt: int) -> np.ndarray:
    """The video of a cell, ``[frame, height, width, 3]``: a ramp that moves, and noise."""
    random = np.random.default_rng([prompt, len(method), ord(method[-1])])
    ramp = np.arange(WIDTH)[None, None, :, None] * 4 + np.arange(VIDEO_FRAMES)[:, None, None, None]
    noise = random.integers(0, 30, (VIDEO_FRAMES, HEIGHT, WIDTH, 3))
    return np.asarray((ramp + noise * (method != "BF16")) % 256, np.uint8)


def _video(store: RunStore, name: str, method: Method, prompt: Prompt) -> tuple[str, int]:
    path = store.video_path(name)
    write_video([frames_of(method.label, prompt.index)], 8.0, path)
    return file_sha256(path), path.stat().st_size


def _figures(method: Method, random: np.random.Generator) -> Figures:
    ratio = 1.0 if method.is_reference else 2 + random.random() * 4
    dense = [1_000_000 * (chunk + 1) for chunk in range(CHUNKS)]
    chunk_s = list(0.5 + random.random(CHUNKS))
    peak = Peak(before_bytes=10**8, peak_bytes=int(2e8 + 1e8 / ratio))
    return Figures(
        wall_s=sum(chunk_s), chunk_s=chunk_s, encode_s=0.1, decode_s=0.2, video_s=0.1,
        kv_stored_bytes=[int(size / ratio) for size in dense], kv_dense_bytes=dense,
        memory_bytes=[10**8 + size for size in dense], compression_ratio=ratio,
        scratch_peak_bytes=1000, generation=peak, decoding=peak, peak_counter="invented",
        skipped_passes=0, latents_sha256=DIGEST,
    )  # fmt: skip


def _score(record: CellRecord, reference: str, random: np.random.Generator) -> ScoreRecord:
    assert record.video is not None
    values = list(0.6 + 0.4 * random.random(VIDEO_FRAMES))
    return ScoreRecord(
        cell=record.cell.id, metric="ssim", metric_version="1", settings={},
        video_sha256=record.video.sha256, reference_sha256=reference, status="ok", columns=[SSIM],
        values={"ssim": float(np.mean(values))}, drift={"ssim": _curve(values)},
        per_frame={"ssim": values}, notes={},
        score_s=0.1, finished=NOW, environment=HERE,
    )  # fmt: skip


def _curve(values: list[float]) -> Curve:
    frames = list(range(3, len(values) + 1, 3))
    return Curve(frames=frames, scores=[float(np.mean(values[:count])) for count in frames])


if __name__ == "__main__":  # python synthetic_runs.py FOLDER: a study of full size, for timing
    write_run(Path(sys.argv[1]), labels(34), 100, videos=False)
