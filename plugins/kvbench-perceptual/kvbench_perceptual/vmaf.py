"""The metric ``vmaf``."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Literal

from kvbench_core.drift import mean
from kvbench_core.errors import KvbenchError, MetricUnavailableError
from kvbench_core.metric import Column, Metric, Scores, Video, pairs, require_side

MODEL = "vmaf_v0.6.1"
PIXELS = "yuv420p"
LOG = "vmaf.json"
MIN_SIDE = 17
"""Pixels; libvmaf crashes on smaller frames."""


class Vmaf(Metric):
    """Video multi-method assessment fusion (Netflix), by libvmaf inside ffmpeg, mean over frames.

    100 is the best; a video that equals its reference gets a little less where little moves. The
    model was trained on 1080p television watched from three screen heights.
    """

    name: ClassVar[str] = "vmaf"
    version: ClassVar[str] = "1"
    columns: ClassVar[tuple[Column, ...]] = (
        Column(name="vmaf", unit="", better="higher", summary="VMAF to BF16, mean over frames"),
    )
    needs_reference: ClassVar[bool] = True
    drift: ClassVar[Literal["frames", "prefixes"] | None] = "frames"

    def check_available(self) -> None:
        command = [self._ffmpeg, "-hide_banner", "-filters"]
        filters = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
        if " libvmaf " not in filters.stdout:
            raise MetricUnavailableError(
                f"vmaf needs an ffmpeg with libvmaf, which {self._ffmpeg} is not; unset "
                "IMAGEIO_FFMPEG_EXE to use the one in imageio-ffmpeg, or set it to another"
            )

    def settings(self) -> Mapping[str, str | int | float | bool]:
        from imageio_ffmpeg import get_ffmpeg_version

        return {"ffmpeg": get_ffmpeg_version(), "model": MODEL, "pixels": PIXELS}

    def score(self, video: Video, reference: Video | None, prompt: str) -> Scores:
        """Score the video as a whole, its frames sent to ffmpeg as they are decoded.

        Raises:
            KvbenchError: the videos differ in length or size, have no frame, or ffmpeg refuses
                them.
        """
        assert reference is not None
        with tempfile.TemporaryDirectory(prefix="kvbench-vmaf-") as folder:
            self._run(video, reference, Path(folder))
            log = json.loads((Path(folder) / LOG).read_text(encoding="utf-8"))
        per_frame: list[float | None] = [frame["metrics"]["vmaf"] for frame in log["frames"]]
        return Scores(values={"vmaf": mean(per_frame)}, per_frame={"vmaf": per_frame})

    @cached_property
    def _ffmpeg(self) -> str:
        from imageio_ffmpeg import get_ffmpeg_exe

        return str(get_ffmpeg_exe())

    def _run(self, video: Video, reference: Video, folder: Path) -> None:
        first = next(iter(video))
        require_side(self.name, first, MIN_SIDE)
        height, width, _ = first.shape
        with (folder / "stderr").open("w+", encoding="utf-8", errors="replace") as messages:
            process = subprocess.Popen(  # noqa: S603
                self._command(height, width), stdin=subprocess.PIPE, stderr=messages, cwd=folder
            )
            try:
                assert process.stdin is not None
                with process.stdin as stream:
                    for frame, other in pairs(video, reference):
                        assert other is not None
                        stream.write(frame.tobytes() + other.tobytes())
            except BrokenPipeError:
                pass  # it has said why
            except BaseException:
                process.kill()
                raise
            finally:
                process.wait()
            if process.returncode:
                messages.seek(0)
                lines = messages.read().strip().splitlines() or [
                    f"it ended with {process.returncode}"
                ]
                raise KvbenchError(f"ffmpeg refuses {width} x {height} frames: {lines[0]}")

    def _command(self, height: int, width: int) -> list[str]:
        """ffmpeg on raw frames, each the video's above the reference's."""
        halves = (
            f"[0:v]split[both][again];"
            f"[both]crop={width}:{height}:0:0,format={PIXELS}[video];"
            f"[again]crop={width}:{height}:0:{height},format={PIXELS}[reference];"
        )
        vmaf = f"[video][reference]libvmaf=model=version={MODEL}:log_fmt=json:log_path={LOG}"
        return [
            *(self._ffmpeg, "-hide_banner", "-loglevel", "error"),
            *("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{2 * height}", "-i", "-"),
            *("-lavfi", halves + vmaf, "-f", "null", "-"),
        ]
