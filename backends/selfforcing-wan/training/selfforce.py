"""Rollouts of many clips at once, for training on the model's own history."""

from __future__ import annotations

import torch
from attrs import frozen
from torch import Tensor

from kvbench_core.geometry import Step
from kvbench_core.parts import bf16
from kvbench_core.policy import compose
from kvbench_core.session import CacheSession
from kvbench_selfforcing_wan.schedule import Schedule, renoise, to_x0
from kvbench_selfforcing_wan.transformer import CausalWanTransformer, TextContext


@frozen(eq=False)
class Trace:
    """``estimates[s]`` is x0 after pass s, ``[clip, frame, channel, height, width]``."""

    estimates: list[Tensor]

    @property
    def final(self) -> Tensor:
        return self.estimates[-1]


@torch.no_grad()
def roll_out(
    model: CausalWanTransformer,
    text: TextContext,
    clips: int,
    frames: int,
    schedule: Schedule,
    *,
    beginning: Tensor | None = None,
) -> Trace:
    """The real sampler on ``clips`` captions.

    ``beginning [clip, frame, ...]`` replaces the first chunk's result where it is not nan.
    """
    config, device = model.config, model.device
    levels = list(zip(schedule.timesteps, schedule.sigmas, strict=True))
    geometry = config.geometry(batch=clips)
    session = CacheSession(compose([bf16()]), geometry, device=device, dtype=model.dtype)
    traces: list[list[Tensor]] = [[] for _ in levels]
    for chunk in range(frames // config.chunk_frames):
        start = chunk * config.chunk_frames
        rotary = model.rotary(range(start, start + config.chunk_frames))
        shape = (clips, config.chunk_frames, *config.latent_shape)
        x0 = torch.zeros(shape, device=device, dtype=model.dtype)
        for index, (timestep, sigma) in enumerate([*levels, (0.0, 0.0)]):
            context = index == len(levels)
            if context and start + config.chunk_frames == frames:
                break
            session.begin_pass(
                Step(
                    geometry=geometry,
                    chunk=chunk,
                    denoise_index=index,
                    is_context=context,
                    start_frame=start,
                    frames=config.chunk_frames,
                    timestep=timestep,
                )
            )
            x = x0 if context else renoise(x0, torch.randn(shape, device=device), sigma)
            time = torch.full((clips, 1), timestep, device=device)
            flow = model(x, time, text, rotary, session.attend)
            if context:
                continue
            x0 = to_x0(x, flow, sigma)
            if index == len(levels) - 1 and chunk == 0 and beginning is not None:
                x0 = torch.where(beginning.isnan(), x0, beginning.to(x0.dtype))
            traces[index].append(x0)
    return Trace([torch.cat(trace, dim=1) for trace in traces])
