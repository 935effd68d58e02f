"""What scoring costs beside the bare library calls, and whether memory grows with length.

PSNR and SSIM of a pair of lossless files, as ``kvbench evaluate`` computes them: checked, decoded
once for both metrics, frame by frame. "Bare" are the scikit-image calls alone on decoded frames.
"""

from __future__ import annotations

import resource
import tempfile
import time
from collections.abc import Iterator
from multiprocessing import get_context
from pathlib import Path
from statistics import median

import click
import numpy as np
from attrs import frozen
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from tabulate import tabulate

from kvbench_core.metric import Frame
from kvbench_core.run.one_pass import in_one_pass
from kvbench_core.run.store import file_sha256
from kvbench_core.run.video import StoredVideo, write_video
from kvbench_fidelity.psnr import Psnr
from kvbench_fidelity.ssim import Ssim

FPS = 16.0
ROUNDS = 3
MIB = 2**20


@frozen
class Cost:
    """Seconds by the clock and on all cores, and the highest resident set since the start."""

    wall_s: float
    cpu_s: float
    peak_bytes: int


def clip(frames: int, height: int, width: int, seed: int) -> Iterator[Frame]:
    """A moving pattern under noise of about one level, as hard to compress as generated video."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    for t in range(frames):
        waves = (np.sin((x + 3 * t) / 40), np.cos((x - y + 5 * t) / 60), np.sin(y / 23 + t / 9))
        picture = np.stack([127 + 90 * wave for wave in waves], axis=-1)
        picture += rng.normal(0, 1.5, picture.shape)
        yield picture.clip(0, 255).astype(np.uint8)


def pair(folder: Path, frames: int, height: int, width: int) -> tuple[StoredVideo, StoredVideo]:
    """Two lossless files of equal size."""
    paths = folder / f"{frames}-0.mp4", folder / f"{frames}-1.mp4"
    for seed, path in enumerate(paths):
        if not path.exists():
            write_video((f[np.newaxis] for f in clip(frames, height, width, seed)), FPS, path)
    video, reference = (StoredVideo(path, frames, FPS) for path in paths)
    return video, reference


def bare(video: StoredVideo, reference: StoredVideo) -> Cost:
    """The library's calls alone; decoding is not timed."""
    wall = cpu = 0.0
    for frame, other in zip(video, reference, strict=True):
        began = time.perf_counter(), time.process_time()
        structural_similarity(other, frame, win_size=7, channel_axis=-1, data_range=255)
        peak_signal_noise_ratio(other, frame, data_range=255)
        wall += time.perf_counter() - began[0]
        cpu += time.process_time() - began[1]
    return Cost(wall, cpu, peak_bytes())


def scored(video: StoredVideo, reference: StoredVideo, paths: list[Path]) -> Cost:
    """The same figures as an evaluation computes them, checksums of the files included."""
    began = time.perf_counter(), time.process_time()
    for path in paths:
        file_sha256(path)
    for series in in_one_pass([Psnr(), Ssim()], video, reference):
        series.scores()
    return Cost(time.perf_counter() - began[0], time.process_time() - began[1], peak_bytes())


def peak_bytes() -> int:
    """The highest resident set of this process (Linux counts in KiB)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def apart(what: str, folder: Path, frames: int, height: int, width: int) -> Cost:
    """One measurement in a process of its own, so that peaks do not mix."""
    with get_context("spawn").Pool(1) as pool:
        return pool.apply(_measured, (what, folder, frames, height, width))


def side_by_side(folder: Path, frames: int, height: int, width: int) -> list[tuple[Cost, Cost]]:
    """Bare and ours in turn on the same files, as the machine's speed varies over minutes."""
    videos, paths = pair(folder, frames, height, width), sorted(folder.glob(f"{frames}-*.mp4"))
    return [(bare(*videos), scored(*videos, paths)) for _ in range(ROUNDS)]


def _measured(what: str, folder: Path, frames: int, height: int, width: int) -> Cost:
    videos = pair(folder, frames, height, width)
    if what == "bare":
        return bare(*videos)
    return scored(*videos, sorted(folder.glob(f"{frames}-*.mp4")))


@click.command(help=__doc__)
@click.option("--frames", default=165, show_default=True, help="Frames of each video.")
@click.option("--size", default="480x832", show_default=True, help="HEIGHTxWIDTH.")
def main(frames: int, size: str) -> None:
    """Print both costs, and the peak at twice the length."""
    height, width = map(int, size.split("x"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        costs = [
            (what, length, apart(what, folder, length, height, width))
            for what, length in (("bare", frames), ("kvbench", frames), ("kvbench", 2 * frames))
        ]
        rounds = side_by_side(folder, frames, height, width)
    click.echo(f"PSNR and SSIM of {height} x {width} pairs, scikit-image, one process")
    table = [(w, n, c.wall_s, c.cpu_s, c.peak_bytes / MIB) for w, n, c in costs]
    heads = ("", "frames", "wall s", "cpu s", "peak MiB")
    click.echo(tabulate(table, heads, floatfmt=("", "", ".2f", ".2f", ".0f"), tablefmt="github"))
    _, ours, twice = (cost for _, _, cost in costs)
    by_clock = median(theirs.wall_s / alone.wall_s for alone, theirs in rounds)
    by_cpu = median(theirs.cpu_s / alone.cpu_s for alone, theirs in rounds)
    click.echo(
        f"\nkvbench / bare: {by_clock:.2f} by the clock, {by_cpu:.2f} in CPU time "
        f"(in turn, median of {ROUNDS})"
    )
    grown = (twice.peak_bytes - ours.peak_bytes) / MIB
    click.echo(f"peak with twice the frames: {grown:+.0f} MiB")


if __name__ == "__main__":
    main()
