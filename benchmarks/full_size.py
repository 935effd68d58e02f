"""Memory and time of the methods on Wan2.1 1.3B at full size, with synthetic weights, on a GPU."""

from __future__ import annotations

import csv
import gc
import hashlib
import traceback
from collections.abc import Iterator
from pathlib import Path

import click
import torch
from attrs import evolve

from benchmarks.methods import methods_option, policy_of
from kvbench_core.attention import choose_kernel
from kvbench_core.backend import SYNTHETIC
from kvbench_core.cli.options import split_names
from kvbench_core.errors import KvbenchError
from kvbench_core.policy import Policy
from kvbench_core.registry import build_registry
from kvbench_core.run.measure import Phase
from kvbench_core.run.rollout import Rollout

PROMPT = "a lighthouse in a storm"
SEED = 0
FIELDS = (
    "method", "frames", "repeat", "wall_s", "encode_s", "decode_s", "peak_bytes", "before_bytes",
    "kv_stored_bytes", "kv_dense_bytes", "scratch_peak_bytes", "skipped_passes", "latents",
    "chunk_s", "chunk_stored_bytes", "gpu", "torch", "kernel", "error",
)  # fmt: skip
DECODING = "(video decoding)"
DECODING_BESIDE = "(video decoding beside the BF16 cache)"
"""What is measured besides methods: with the cache released first, and while it lives."""


@click.command()
@methods_option
@click.option("--frames", default=42, show_default=True, help="Latent frames of a rollout.")
@click.option("--repeats", default=2, show_default=True, help="Rollouts of each method.")
@click.option(
    "--warm-up",
    default=6,
    show_default=True,
    help="Latent frames of the rollout of each method that comes first and does not count.",
)
@click.option("--device", default="cuda", show_default=True)
@click.option("--resolution", default="832x480", show_default=True, help="WIDTHxHEIGHT in pixels.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True)
def main(
    methods: str,
    frames: int,
    repeats: int,
    warm_up: int,
    device: str,
    resolution: str,
    out: Path,
) -> None:
    """Add a line to the CSV file OUT for every rollout that it does not have yet.

    BF16 comes first in every repeat. Stopped and started again, it goes on where it was.
    """
    registry = build_registry()
    width, height = (int(number) for number in resolution.split("x"))
    backend = registry.backend("wan-1.3b").configured(weights=SYNTHETIC, resolution=(width, height))
    names = list(dict.fromkeys(["BF16", *registry.select(split_names([methods]))]))
    policies = {name: policy_of(registry, name) for name in names}
    todo = [
        (name, repeat)
        for repeat in range(repeats)
        for name in [*names, DECODING, DECODING_BESIDE]
        if (name, str(frames), str(repeat)) not in done(out)
    ]
    if not todo:
        click.echo(f"{out} has them all")
        return
    place = torch.device(device)
    generator = backend.load(place)
    generator.prepare([PROMPT])
    kernel = choose_kernel("auto", place, generator.cache_dtype).name
    bench = Bench(Rollout(backend, generator, kernel), frames, warm_up, out)
    for name, repeat in todo:
        bench.measure(name, policies.get(name, policies["BF16"]), repeat)


def done(out: Path) -> set[tuple[str, str, str]]:
    """Method, frames and repeat of each line that is there."""
    return {(row["method"], row["frames"], row["repeat"]) for row in read(out)}


def read(out: Path) -> Iterator[dict[str, str]]:
    """The lines of a CSV file, if it exists."""
    if out.exists():
        with out.open(newline="", encoding="utf-8") as file:
            yield from csv.DictReader(file)


class Bench:
    """Measures rollouts one after the other in one process."""

    def __init__(self, rollout: Rollout, frames: int, warm_up_frames: int, out: Path) -> None:
        self._rollout = rollout
        self._frames = frames
        self._warm_up_frames = warm_up_frames
        self._out = out
        self._warm: set[str] = set()
        self._latents: torch.Tensor | None = None

    def measure(self, name: str, policy: Policy, repeat: int) -> None:
        """Write one line; a failure is a line too."""
        device = self._rollout.generator.device
        line: dict[str, object] = {
            "method": name,
            "frames": self._frames,
            "repeat": repeat,
            "gpu": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
            "torch": torch.__version__,
            "kernel": self._rollout.kernel,
        }
        try:
            if name == DECODING:
                line |= self._decoding()
            elif name == DECODING_BESIDE:
                line |= self._decoding_beside(policy)
            else:
                line |= self._generation(name, policy)
        except (KvbenchError, RuntimeError) as error:  # out of memory is a RuntimeError
            line["error"] = " ".join(traceback.format_exception_only(error)).strip()[:300]
        self._append(line)

    def _generation(self, name: str, policy: Policy) -> dict[str, object]:
        rollout, frames = self._rollout, self._frames
        if name not in self._warm:
            rollout.warm_up(policy, PROMPT, self._warm_up_frames)
            self._warm.add(name)
        self._clean()
        generation, decoding = (Phase(rollout.generator.device) for _ in range(2))
        made = rollout.generate(policy, PROMPT, SEED, frames, lambda _: None, generation, decoding)
        self._latents, meter = made.latents.cpu(), made.meter
        return {
            "wall_s": round(sum(meter.chunk_s), 4),
            "encode_s": round(made.clock_s.get("encode", 0.0), 4),
            "decode_s": round(made.clock_s.get("decode", 0.0), 4),
            "peak_bytes": generation.peak.peak_bytes,
            "before_bytes": generation.peak.before_bytes,
            "kv_stored_bytes": meter.stored_bytes[-1],
            "kv_dense_bytes": meter.dense_bytes[-1],
            "scratch_peak_bytes": made.scratch_peak_bytes,
            "skipped_passes": made.skipped_passes,
            "latents": hashlib.sha256(self._latents.float().numpy().tobytes()).hexdigest()[:12],
            "chunk_s": " ".join(f"{seconds:.4f}" for seconds in meter.chunk_s),
            "chunk_stored_bytes": " ".join(map(str, meter.stored_bytes)),
        }

    def _decoding(self) -> dict[str, object]:
        if self._latents is None:
            raise KvbenchError("nothing was generated in this process")
        self._clean()
        phase = Phase(self._rollout.generator.device)
        with torch.inference_mode(), phase:
            count = sum(len(piece) for piece in self._rollout.generator.decode(self._latents))
        assert count == self._rollout.backend.video_frames(len(self._latents))
        return {
            "wall_s": round(phase.seconds, 4),
            "peak_bytes": phase.peak.peak_bytes,
            "before_bytes": phase.peak.before_bytes,
        }

    def _decoding_beside(self, policy: Policy) -> dict[str, object]:
        self._clean()
        rollout = evolve(self._rollout, decode="streaming")
        generation, decoding = (Phase(rollout.generator.device) for _ in range(2))
        rollout.generate(policy, PROMPT, SEED, self._frames, lambda _: None, generation, decoding)
        return {
            "wall_s": round(decoding.seconds, 4),
            "peak_bytes": decoding.peak.peak_bytes,
            "before_bytes": decoding.peak.before_bytes,
        }

    def _clean(self) -> None:
        gc.collect()
        if self._rollout.generator.device.type == "cuda":
            torch.cuda.empty_cache()

    def _append(self, line: dict[str, object]) -> None:
        new = not self._out.exists()
        with self._out.open("a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, FIELDS, restval="")
            if new:
                writer.writeheader()
            writer.writerow(line)
        figures = ("wall_s", "encode_s", "decode_s", "peak_bytes", "kv_stored_bytes", "error")
        click.echo("  ".join([str(line["method"]), *(str(line.get(f, "")) for f in figures)]))


if __name__ == "__main__":
    main()
