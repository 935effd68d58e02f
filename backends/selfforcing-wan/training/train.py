"""Trains the tiny generator: ``python training/train.py STAGE --out DIR [--resume DIR]``."""

from __future__ import annotations

import argparse
import csv
import json
import time
import tomllib
from pathlib import Path
from typing import Any

import torch
from attrs import frozen
from data import Captions, clip_latents, recover_placement
from muon import MasterOptimizer
from parallel import Layout, ParallelForward
from PIL import Image
from safetensors.torch import load_file, save_file
from selfforce import Trace, roll_out
from torch import Tensor

from kvbench_selfforcing_wan.config import TINY
from kvbench_selfforcing_wan.schedule import Schedule, warped_sigmas
from kvbench_selfforcing_wan.tiny import pixels
from kvbench_selfforcing_wan.tiny.model import TinyModel
from kvbench_selfforcing_wan.tiny.sampling import suite_scenes
from kvbench_selfforcing_wan.tiny.world import background, place, place_anywhere, render, simulate

SAME_SCENE_MSE = 0.9
"""Error (unit-variance latents) below which a chunk may still show the world's scene."""
SAME_OBJECT_ERROR = 0.5
"""The same around the object, relative to what leaving it out would cost."""
TRUE_BEGINNINGS = 0.4
"""Share of the rollouts that start from a true first chunk."""
FIRST_STEP_SHARES = (0.08, 0.48, 0.22, 0.22)
"""How often extra first chunks get each of the four levels: the second one settles the scene."""
TRACE_CLIPS = 96
COLUMNS = ("loss", "first", "world", "own", "valid")


@frozen(eq=False)
class Clips:
    """What the parallel pass learns from; per clip 14 chunks of 3 latent frames."""

    captions: Captions
    context: Tensor
    """Clean history ``[clip, frame, channel, height, width]``."""
    noisy: Tensor
    target: Tensor
    """The flow to predict for ``noisy``."""
    sigma: Tensor
    """``[clip, chunk]``"""
    weight: Tensor
    """``[clip, chunk]``"""

    @classmethod
    def joined(cls, parts: list[Clips]) -> Clips:
        if len(parts) == 1:
            return parts[0]
        tensors = [
            torch.cat([getattr(p, name) for p in parts])
            for name in ("context", "noisy", "target", "sigma", "weight")
        ]
        return cls(Captions.joined([p.captions for p in parts]), *tensors)


class Trainer:
    """One stage of training."""

    def __init__(self, settings: dict[str, Any], stage: str, device: str) -> None:
        self.settings, self.stage = settings, settings["stages"][stage]
        self.device = device
        torch.manual_seed(settings["seed"])
        self.model = TinyModel().to(device)
        with torch.no_grad():
            self.model.transformer.head.head.weight.zero_()
            self.model.text_table.weight.normal_(std=1.0)
        self.schedule = Schedule(shift=TINY.shift, steps=tuple(settings["levels"]))
        self.frames, self.firsts = settings["clip_frames"], self.stage["firsts"]
        self.chunks = self.frames // TINY.chunk_frames
        self.pool = Captions.training_pool(settings["captions"], settings["seed"], device)
        self.trace: tuple[Captions, Trace, Tensor, Tensor] | None = None
        self.trace_uses = 0

    def prepare(self, resume: Path | None) -> None:
        """Load weights, move to bf16, set up the optimiser and the compiled pass."""
        start = load_file(resume / "weights.safetensors") if resume else None
        if start is not None:
            self.model.load_state_dict(start)
        self.model.to(torch.bfloat16)
        self.optimizer = MasterOptimizer(self.model, self.settings["ema_decay"])
        layout = Layout(TINY, self.frames, self.firsts)
        self.parallel = ParallelForward(self.model, layout)

    def levels(self, shape: tuple[int, int], shares: tuple[float, ...]) -> Tensor:
        """Random noise levels: the sampler's own or any entry of the warped table."""
        own = torch.tensor(self.schedule.sigmas, device=self.device)
        odds = torch.tensor(shares, device=self.device)
        picks = torch.multinomial(odds, shape[0] * shape[1], replacement=True)
        table = warped_sigmas(TINY.shift).to(self.device)
        anywhere = table[torch.randint(len(table), shape, device=self.device)]
        used = torch.rand(shape, device=self.device) < self.settings["used_step_share"]
        return torch.where(used, own[picks].view(shape), anywhere)

    def noised(self, clean: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """Noisy latents and the flow to learn; ``sigma [clip, chunk]``."""
        level = sigma.repeat_interleave(TINY.chunk_frames, 1)[..., None, None, None]
        noise = torch.randn_like(clean)
        return (1 - level) * clean + level * noise, noise - clean

    def world_clips(self, count: int) -> Clips:
        """Clips of the world: teacher forcing, with noise on the history of half of them."""
        captions = self.pool.draw(count)
        clean = clip_latents(captions.scenes, place_anywhere(captions.scenes), self.frames)
        sigma = self.levels((count, self.chunks), (0.25,) * 4)
        noisy, target = self.noised(clean, sigma)
        strength = self.settings["context_noise"] * torch.rand(count, device=self.device)
        strength = strength * (torch.rand_like(strength) < 0.5)
        context = clean + strength[:, None, None, None, None] * torch.randn_like(clean)
        weight = torch.ones_like(sigma)
        weight[:, 0] = 0  # First chunks come from where a prompt begins: see first_chunks.
        return Clips(captions, context, noisy, target, sigma, weight)

    def own_clips(self, count: int) -> Clips:
        """Clips that the model itself rolled out; the world says how they should have gone on.

        A chunk counts while all chunks before it still show the world's scene.
        """
        if self.trace is None or self.trace_uses * count >= self.stage["trace_uses"] * TRACE_CLIPS:
            self.trace, self.trace_uses = self.new_trace(), 0
        self.trace_uses += 1
        captions, trace, truth, valid = self.trace
        pick = torch.randperm(len(truth), device=self.device)[:count]
        passes = torch.randint(4, (count, self.chunks), device=self.device)
        sigma = torch.tensor(self.schedule.sigmas, device=self.device)[passes]
        estimates = torch.stack([torch.zeros_like(trace.final), *trace.estimates[:-1]])
        by_frame = passes.repeat_interleave(TINY.chunk_frames, 1)
        rows, frames = pick[:, None], torch.arange(self.frames, device=self.device)
        before = estimates[by_frame, rows, frames].float()
        level = sigma.repeat_interleave(TINY.chunk_frames, 1)[..., None, None, None]
        noisy = (1 - level) * before + level * torch.randn_like(before)
        target = (noisy - truth[pick]) / level
        chosen = Captions(captions.scenes[pick], captions.ids[pick])
        return Clips(chosen, trace.final[pick].float(), noisy, target, sigma, valid[pick])

    @torch.no_grad()
    def new_trace(self) -> tuple[Captions, Trace, Tensor, Tensor]:
        """Roll out; find the world that continues each beginning; mark where both still agree."""
        captions = self.pool.draw(TRACE_CLIPS)
        text = self.model.transformer.text_context(self.model.text_table(captions.ids))
        true = clip_latents(captions.scenes, place(captions.scenes), TINY.chunk_frames)
        true[round(TRUE_BEGINNINGS * TRACE_CLIPS) :] = float("nan")
        transformer = self.model.transformer
        trace = roll_out(transformer, text, TRACE_CLIPS, self.frames, self.schedule, beginning=true)
        truth, error, object_error = compare_with_world(captions, trace.final)
        same = (error < SAME_SCENE_MSE) & (object_error < SAME_OBJECT_ERROR)
        same = same.float().cumprod(1)
        valid = torch.cat((torch.zeros_like(same[:, :1]), same[:, :-1]), dim=1)
        self.trace_valid = valid[:, -1].mean()
        return captions, trace, truth, valid

    def first_chunks(self, captions: Captions) -> tuple[Tensor, Tensor, Tensor]:
        """Extra first chunks ``[clip, first * frame, ...]``: input, flow to learn and level."""
        told = captions.repeat(self.firsts)
        clean = clip_latents(told.scenes, place(told.scenes), TINY.chunk_frames)
        clean = clean.unflatten(0, (-1, self.firsts)).flatten(1, 2)
        sigma = self.levels((len(clean), self.firsts), FIRST_STEP_SHARES)
        return *self.noised(clean, sigma), sigma

    def loss(self) -> dict[str, Tensor]:
        """Flow errors by kind of frame."""
        own = round(self.stage["self_forcing_share"] * self.stage["batch"])
        parts = [self.world_clips(self.stage["batch"] - own)]
        parts += [self.own_clips(own)] if own else []
        clips = Clips.joined(parts)
        first_noisy, first_target, first_sigma = self.first_chunks(clips.captions)
        frames = torch.cat((clips.context, clips.noisy, first_noisy), dim=1).bfloat16()
        sigma = torch.cat((torch.zeros_like(clips.sigma), clips.sigma, first_sigma), dim=1)
        timestep = 1000 * sigma.repeat_interleave(TINY.chunk_frames, 1)
        flow = self.parallel(frames, timestep, clips.captions.ids)
        target = torch.cat((clips.target, first_target), dim=1)
        error = by_chunk((flow.float() - target).square())
        error, error_first = error.split((self.chunks, self.firsts), dim=1)
        worlds = len(parts[0].sigma)
        result = {
            "loss": (error * clips.weight).mean() + error_first.mean() * self.stage["first_weight"],
            "first": error_first.mean().detach(),
            "world": error[:worlds, 1:].mean().detach(),
        }
        if own:
            weight = clips.weight[worlds:, 1:]
            result["own"] = ((error[worlds:, 1:] * weight).sum() / weight.sum()).detach()
            result["valid"] = self.trace_valid
        return result

    def run(self, out: Path, max_seconds: float) -> int:
        """All steps of the stage, or as many as fit; writes ``log.csv`` into ``out``."""
        steps, began = self.stage["steps"], time.perf_counter()
        done = 0
        with (out / "log.csv").open("w", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(("step", "seconds", "rate", "norm", *COLUMNS))
            for step in range(steps):
                elapsed = time.perf_counter() - began
                progress = max(step / steps, elapsed / max_seconds)
                if progress >= 1:
                    break
                rate = self.rate(step, progress)
                parts = self.loss()
                parts["loss"].backward()
                parts["loss"] = parts["loss"].detach()
                norm = self.optimizer.step(rate)
                done = step + 1
                if step % 25 == 0 or step == 5:
                    values = [f"{float(parts.get(k, float('nan'))):.4f}" for k in COLUMNS]
                    torch.cuda.synchronize()
                    elapsed = time.perf_counter() - began
                    row = (step, f"{elapsed:.1f}", f"{rate:.2e}", f"{float(norm):.3f}", *values)
                    writer.writerow(row)
                    if step % 100 == 0 or step < 200:
                        print(*row, flush=True)
        return done

    def rate(self, step: int, progress: float) -> float:
        """Linear warm-up, flat, linear decay over the last part of the stage."""
        decay = self.stage["decay"]
        factor = min(1.0, (step + 1) / self.stage["warmup"])
        if decay and progress > 1 - decay:
            factor *= max(0.02, (1 - progress) / decay)
        return float(self.stage["learning_rate"] * factor)

    def save(self, out: Path) -> None:
        """Current and averaged weights, bf16."""
        for name, weights in (
            ("weights", self.optimizer.masters()),
            ("ema", self.optimizer.averaged()),
        ):
            half = {k: v.bfloat16().contiguous() for k, v in weights.items()}
            save_file(half, out / f"{name}.safetensors")


def by_chunk(values: Tensor) -> Tensor:
    """Means ``[clip, chunk]`` of ``[clip, frame, channel, height, width]``."""
    return values.unflatten(1, (-1, TINY.chunk_frames)).mean((2, 3, 4, 5))


def compare_with_world(captions: Captions, latents: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The world's continuation of rolled-out clips, and errors per clip and chunk.

    The second error is over the object's surroundings, relative to an empty background's.
    """
    scenes = captions.scenes
    placement = recover_placement(scenes, latents[:, : TINY.chunk_frames])
    track = simulate(scenes, placement, latents.shape[1])
    truth = pixels.encode(render(scenes, track))
    cost = (truth - pixels.encode(background(scenes, track.origin))).square()
    near = cost.mean(2, keepdim=True) > 0.25
    error = (latents.float() - truth).square()

    return truth, by_chunk(error), by_chunk(error * near) / by_chunk(cost * near)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stage")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--resume", type=Path, help="folder with weights.safetensors")
    parser.add_argument("--max-seconds", type=float, default=1e9)
    parser.add_argument("--device", default="cuda")
    arguments = parser.parse_args()
    settings = tomllib.loads((Path(__file__).parent / "config.toml").read_text())
    trainer = Trainer(settings, arguments.stage, arguments.device)
    trainer.prepare(arguments.resume)
    steps = trainer.run(arguments.out, arguments.max_seconds)
    trainer.save(arguments.out)
    report = {"stage": arguments.stage, "steps": steps, **preview(trainer, arguments.out)}
    (arguments.out / "report.json").write_text(json.dumps(report, indent=1))
    print(json.dumps(report))


@torch.no_grad()
def preview(trainer: Trainer, out: Path) -> dict[str, Any]:
    """Roll out the averaged weights on the held-out prompts; compare with the world."""
    weights = trainer.optimizer.averaged()
    trainer.model.load_state_dict(weights)
    scenes = [*suite_scenes("tiny"), *suite_scenes("tiny-story")]
    captions = Captions.of(scenes, trainer.device)
    model = trainer.model.transformer
    text = model.text_context(trainer.model.text_table(captions.ids))
    torch.manual_seed(0)
    began = time.perf_counter()
    schedule = Schedule(shift=TINY.shift, steps=TINY.denoising_steps)
    trace = roll_out(model, text, len(scenes), trainer.frames, schedule)
    torch.cuda.synchronize()
    seconds = time.perf_counter() - began
    _, error, object_error = compare_with_world(captions, trace.final)
    frames = pixels.to_uint8(pixels.decode(trace.final)).cpu()
    rows = [torch.cat(list(frames[i, ::4]), dim=1) for i in (*range(14), *range(24, 36))]
    Image.fromarray(torch.cat(rows).numpy()).save(out / "sheet.png")
    estimates = [e[:, : TINY.chunk_frames] for e in trace.estimates]
    passes = [pixels.to_uint8(pixels.decode(e)).cpu()[:10, 0] for e in estimates]
    rows = [torch.cat(list(p), dim=1) for p in passes]
    Image.fromarray(torch.cat(rows).numpy()).save(out / "passes.png")
    return {
        "rollout_seconds": seconds,
        "error_by_chunk": [round(float(x), 4) for x in error.median(0).values],
        "object_error_by_chunk": [round(float(x), 4) for x in object_error.median(0).values],
        "same_object_by_chunk": [
            round(float(x), 3) for x in (object_error < SAME_OBJECT_ERROR).float().mean(0)
        ],
    }


if __name__ == "__main__":
    main()
