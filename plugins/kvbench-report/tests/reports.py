"""Reports of runs with chosen figures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from attrs import evolve
from click.testing import CliRunner, Result
from made_runs import MadeRun

from kvbench_core.cli import main
from kvbench_core.run.records import CellRecord
from kvbench_core.run.store import file_sha256
from kvbench_core.run.video import write_video

METHODS = ("BF16", "RTN_INT4", "RTN_INT2", "KIVI_INT4")
PROMPTS = ("cat", "dog", "owl")
HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'$x_1^2$ \\input{x} |`&amp;"


def made(
    root: Path,
    methods: Sequence[str] = METHODS,
    prompts: Sequence[str] = PROMPTS,
    scored: bool = True,
) -> MadeRun:
    """A run in which each method is a little worse than the one before."""
    run = MadeRun(root, methods, prompts)
    for i, name in enumerate(methods):
        for j, prompt in enumerate(prompts):
            scores = {"ssim": 0.99 - 0.1 * i - 0.01 * j, "psnr": 40.0 - i - j}
            run.cell(
                name, prompt, ratio=1.0 + i, peak=10_000_000 - 1_000_000 * i,
                runtime=2.0 + 0.1 * i + 0.01 * j, scores=scores if scored and i else None,
            )  # fmt: skip
    return run


def report(root: Path, *options: str) -> Result:
    return CliRunner().invoke(main, ["report", str(root), *options])


def page(root: Path, *options: str) -> str:
    result = report(root, *options)
    assert result.exit_code == 0, result.output
    return (root / "report" / "report.html").read_text(encoding="utf-8")


def with_video(run: MadeRun, record: CellRecord, shade: int) -> None:
    """Give a record a real video of nine grey frames."""
    path = run.store.video_path(record.cell.id)
    write_video([np.full((9, 8, 8, 3), shade, np.uint8)], 16.0, path)
    video = evolve(record.video, sha256=file_sha256(path), bytes=path.stat().st_size)
    run.store.put_cell(evolve(record, video=video))


def records(run: MadeRun) -> list[CellRecord]:
    return run.store.cells(run.manifest)[0]
