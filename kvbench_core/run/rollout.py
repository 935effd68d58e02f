"""Making one cell: generate, decode, store, and measure while doing so."""

from __future__ import annotations

import gc
import hashlib
import itertools
import time
from collections.abc import Callable
from pathlib import Path

import torch
from attrs import define, evolve, frozen
from torch import Tensor

from kvbench_core.backend import Backend, Generator
from kvbench_core.errors import BackendError
from kvbench_core.policy import Policy
from kvbench_core.run.measure import Phase, peak_counter, settle
from kvbench_core.run.meter import Meter, MeteredSession
from kvbench_core.run.records import DecodeMode, Figures, Peak, VideoFile
from kvbench_core.run.serial import with_whole_file
from kvbench_core.run.store import file_sha256
from kvbench_core.run.video import write_video


@frozen(eq=False, kw_only=True)
class Generated:
    """Latents ``[frame, channel, height, width]`` and what their making cost.

    ``video`` has the pieces that were decoded on the way; empty when decoding comes at the end.
    """

    latents: Tensor
    video: list[Tensor]
    meter: Meter
    clock_s: dict[str, float]
    scratch_peak_bytes: int
    skipped_passes: int


@define
class Rollout:
    """A loaded backend that makes cells."""

    backend: Backend
    generator: Generator
    kernel: str
    decode: DecodeMode = "end"

    def session(self, policy: Policy, frames: int) -> MeteredSession:
        """Fresh caches for one rollout."""
        return MeteredSession(
            policy,
            self.backend.geometry(),
            device=self.generator.device,
            dtype=self.generator.cache_dtype,
            kernel=self.kernel,
            planned_frames=frames,
            rotation=self.generator.rotation,
        )

    def warm_up(self, policy: Policy, prompt: str, frames: int) -> float:
        """A short rollout that nobody counts, so that the first cell does not pay for start-up."""
        began = time.perf_counter()
        with torch.inference_mode():
            session = self.session(policy, frames)
            latents = self.generator.generate(prompt, 0, frames, session, lambda _: None)
            for _ in self.generator.decode(latents):
                pass
        settle(self.generator.device)
        return time.perf_counter() - began

    @torch.inference_mode()
    def generate(
        self,
        policy: Policy,
        prompt: str,
        seed: int,
        frames: int,
        on_chunk: Callable[[int], None],
        generation: Phase,
        decoding: Phase,
    ) -> Generated:
        """One rollout, measured. The caches are gone when this returns.

        Raises:
            BackendError: the generator did not make, or did not cache, what it was asked for.
        """
        video: list[Tensor] = []
        with generation:
            session = self.session(policy, frames)
            decoder = self.generator.decoder() if self.decode == "streaming" else None
            done = itertools.count(1)

            def finish(chunk: Tensor) -> None:
                on_chunk(next(done))
                if decoder is not None:
                    session.end_chunk()
                    with generation.interrupted(), decoding:
                        video.append(decoder(chunk))
                    session.resume()

            latents = self.generator.generate(prompt, seed, frames, session, finish)
            session.end_chunk()
        if not latents.shape[0] == session.meter.frames == frames:
            raise BackendError(
                f"the generator returned {latents.shape[0]} latent frames and cached "
                f"{session.meter.frames}; {frames} were asked for"
            )
        return Generated(
            latents=latents,
            video=video,
            meter=session.meter,
            clock_s=session.context.clock.seconds(),
            scratch_peak_bytes=session.context.scratch.peak_bytes,
            skipped_passes=session.skipped_passes,
        )

    @torch.inference_mode()
    def write(self, made: Generated, path: Path) -> tuple[int, int, int]:
        """Decode what is not decoded yet and write the video; returns frames, height, width."""
        pieces = made.video or self.generator.decode(made.latents)
        sizes: list[tuple[int, int, int]] = []

        def fill(partial: Path) -> None:
            frames = (piece.numpy() for piece in pieces)
            sizes.append(write_video(frames, self.backend.fps, partial))

        with_whole_file(path, fill)
        return sizes[0]

    def make(
        self,
        policy: Policy,
        prompt: str,
        seed: int,
        frames: int,
        *,
        video: Path,
        on_chunk: Callable[[int], None],
    ) -> tuple[Figures, VideoFile]:
        """Generate a cell's video into place and say what it took."""
        gc.collect()  # the cell before must not count in this one's peak
        device = self.generator.device
        generation, decoding = Phase(device), Phase(device)
        made = self.generate(policy, prompt, seed, frames, on_chunk, generation, decoding)
        with decoding:
            count, height, width = self.write(made, video)
        meter = made.meter
        stored = meter.stored_bytes[-1]
        figures = Figures(
            wall_s=sum(meter.chunk_s),
            chunk_s=meter.chunk_s,
            encode_s=made.clock_s.get("encode", 0.0),
            decode_s=made.clock_s.get("decode", 0.0),
            video_s=decoding.seconds,
            kv_stored_bytes=meter.stored_bytes,
            kv_dense_bytes=meter.dense_bytes,
            memory_bytes=meter.memory_bytes,
            compression_ratio=meter.dense_bytes[-1] / stored if stored else None,
            scratch_peak_bytes=made.scratch_peak_bytes,
            generation=_at_least(generation.peak, max(meter.memory_bytes)),
            decoding=decoding.peak,
            peak_counter=peak_counter(device),
            skipped_passes=made.skipped_passes,
            latents_sha256=tensor_sha256(made.latents),
        )
        return figures, VideoFile(
            sha256=file_sha256(video),
            bytes=video.stat().st_size,
            frames=count,
            width=width,
            height=height,
            fps=self.backend.fps,
        )


def _at_least(peak: Peak, seen_bytes: int) -> Peak:
    """``peak`` raised to what was seen between two samples of a sampled counter."""
    return evolve(peak, peak_bytes=max(peak.peak_bytes, seen_bytes))


def tensor_sha256(tensor: Tensor) -> str:
    """SHA-256 of dtype, shape and values."""
    data = tensor.detach().contiguous().cpu()
    digest = hashlib.sha256(f"{data.dtype} {tuple(data.shape)}".encode())
    digest.update(data.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
