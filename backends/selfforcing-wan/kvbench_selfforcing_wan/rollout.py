"""The self-forcing rollout (arXiv 2506.08009): chunk by chunk, a few denoising passes each.

After its last denoising pass a chunk goes through the network once more, clean and at timestep
0: that pass writes the keys and values which later chunks attend to.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

import torch
from attrs import field, frozen
from torch import Tensor

from kvbench_core.geometry import Step
from kvbench_selfforcing_wan.config import WanConfig
from kvbench_selfforcing_wan.noise import NoiseStreams
from kvbench_selfforcing_wan.rope import Rotary
from kvbench_selfforcing_wan.schedule import renoise, to_x0
from kvbench_selfforcing_wan.transformer import CausalWanTransformer, TextContext, TimeFeatures

OnChunk = Callable[[Tensor], None]


class Session(Protocol):
    """What a rollout needs of a KV cache."""

    def begin_pass(self, step: Step) -> None:
        """The following calls of :meth:`attend` belong to ``step``."""

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Attention over the visible history and the chunk itself."""

    def skip(self, step: Step, feature: Tensor) -> bool:
        """Whether to leave the transformer out of a noisy pass and reuse the previous one.

        ``feature`` is the pass's patch-embedded input ``[batch, token, width]``. Asked before
        every noisy pass; the answer for a chunk's first is no.
        """


@frozen(kw_only=True)
class Rollout:
    """One video to be made: model, prompt, noise and length in latent frames."""

    model: CausalWanTransformer
    text: TextContext
    noise: NoiseStreams
    frames: int
    initial_latent: Tensor | None = field(default=None, eq=False)
    """Clean latents ``[batch, frame, channel, height, width]`` of a beginning to continue."""

    def run(self, session: Session, on_chunk: OnChunk | None = None) -> Tensor:
        """All latents ``[batch, frame, channel, height, width]``, a supplied beginning included.

        ``on_chunk`` gets each chunk's latents when its clean pass has run.
        """
        chunks = []
        for latents in self.chunks(session):
            chunks.append(latents)
            if on_chunk is not None:
                on_chunk(latents)
        return torch.cat(chunks, dim=1)

    @torch.no_grad()
    def chunks(self, session: Session) -> Iterator[Tensor]:
        """Each chunk's final latents, after its clean pass."""
        config = self.model.config
        given = 0 if self.initial_latent is None else self.initial_latent.shape[1]
        for frames in (self.frames, given):
            if frames % config.chunk_frames:
                raise ValueError(
                    f"rollout: latent frames must be a multiple of {config.chunk_frames}; "
                    f"got {frames}"
                )
        noise = self._initial_noise((self.frames - given) // config.chunk_frames)
        times = self._time_features()
        upcoming = next(noise, None)
        for chunk in range(self.frames // config.chunk_frames):
            start = chunk * config.chunk_frames
            runner = _ChunkRunner(self, session, chunk, times)
            if self.initial_latent is not None and start < given:
                latents = self.initial_latent[:, start : start + config.chunk_frames]
                latents = latents.to(self.model.device, self.model.dtype)
            else:
                assert upcoming is not None
                latents = runner.denoise(upcoming.to(self.model.dtype))
            runner.write_context(latents)
            if start >= given:
                upcoming = next(noise, None)  # drawn while the device is at the clean pass
            yield latents

    def _initial_noise(self, chunks: int) -> Iterator[Tensor]:
        """Per chunk ``[1, frame, channel, height, width]`` on the device."""
        for noise in itertools.islice(self.noise.initial(self.model.config.chunk_frames), chunks):
            yield _sent(noise, self.model.device)[None]

    def _time_features(self) -> dict[float, TimeFeatures]:
        """Of every timestep that occurs, 0 for the clean pass included."""
        config, device = self.model.config, self.model.device
        timesteps = {t for chunk in (0, 1) for t in config.schedule(chunk).timesteps} | {0.0}
        return {
            timestep: self.model.time_features(torch.full((1, 1), timestep, device=device))
            for timestep in timesteps
        }


def _sent(noise: Tensor, device: torch.device) -> Tensor:
    """On the device, without waiting for what it is at."""
    pinned = noise.pin_memory() if device.type == "cuda" else noise
    return pinned.to(device, non_blocking=True)


class _ChunkRunner:
    """The passes over one chunk."""

    def __init__(
        self, rollout: Rollout, session: Session, chunk: int, times: Mapping[float, TimeFeatures]
    ) -> None:
        self._rollout, self._session, self._chunk = rollout, session, chunk
        self._model, self._times = rollout.model, times
        config: WanConfig = self._model.config
        self._geometry = config.geometry()
        self._schedule = config.schedule(chunk)
        self._start = chunk * config.chunk_frames
        frames = range(self._start, self._start + config.chunk_frames)
        self._rotary: Rotary = self._model.rotary(frames)
        self._residual: Tensor | None = None

    def denoise(self, x: Tensor) -> Tensor:
        """From noise ``[batch, frame, channel, height, width]`` to the final latents."""
        levels = list(zip(self._schedule.timesteps, self._schedule.sigmas, strict=True))
        x0 = x
        for index, (timestep, sigma) in enumerate(levels):
            if index:
                fresh = self._rollout.noise.fresh(self._chunk, index, x.shape[1])
                x = renoise(x0, _sent(fresh, x.device)[None], sigma)
            x0 = to_x0(x, self._flow(x, self._step(index, timestep)), sigma)
        return x0

    def write_context(self, latents: Tensor) -> None:
        """The clean pass; only the keys and values that it writes matter."""
        self._residual = None
        step = self._step(len(self._schedule.steps), 0.0)
        self._session.begin_pass(step)
        self._stack(self._model.embed(latents), self._times[step.timestep])

    def _flow(self, x: Tensor, step: Step) -> Tensor:
        tokens, time = self._model.embed(x), self._times[step.timestep]
        if self._session.skip(step, tokens):
            assert self._residual is not None, "a chunk's first pass is never skipped"
            return self._model.unembed(tokens + self._residual, time)
        self._session.begin_pass(step)
        hidden = self._stack(tokens, time)
        self._residual = hidden - tokens
        return self._model.unembed(hidden, time)

    def _stack(self, tokens: Tensor, time: TimeFeatures) -> Tensor:
        rollout = self._rollout
        return self._model.stack(tokens, time, rollout.text, self._rotary, self._session.attend)

    def _step(self, index: int, timestep: float) -> Step:
        return Step(
            geometry=self._geometry,
            chunk=self._chunk,
            denoise_index=index,
            is_context=index == len(self._schedule.steps),
            start_frame=self._start,
            frames=self._model.config.chunk_frames,
            timestep=timestep,
            denoise_steps=len(self._schedule.steps),
        )
