"""Measures a checkpoint with the ground-truth judge: ``python training/evaluate.py [--sheet PNG]``.

Rolls out the held-out prompts with a bf16 cache on this machine, prints a table, writes JSON.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from kvbench_core.conformance.spies import Forgetful
from kvbench_core.parts import bf16
from kvbench_core.policy import compose
from kvbench_core.session import CacheSession
from kvbench_selfforcing_wan.tiny import pixels
from kvbench_selfforcing_wan.tiny.grammar import Scene
from kvbench_selfforcing_wan.tiny.judge import judge
from kvbench_selfforcing_wan.tiny.model import CHECKPOINT, TinyModel
from kvbench_selfforcing_wan.tiny.sampling import suite_scenes

FRAMES = 42
SHEET_COLUMNS = (0, 5, 10, 15, 20, 25, 30, 35, 41)


def ssim(a: Tensor, b: Tensor) -> float:
    """Mean structural similarity of two uint8 videos ``[frame, row, column, rgb]``.

    Grey pictures, a Gaussian window of 11 x 11 with deviation 1.5, as Wang et al. (2004).
    """
    x, y = (v.float().mean(-1)[:, None] / 255 for v in (a, b))
    line = torch.exp(-(torch.arange(11) - 5.0).square() / (2 * 1.5**2))
    line = line / line.sum()

    def blur(picture: Tensor) -> Tensor:
        wide = functional.conv2d(picture, line[None, None, :, None])
        return functional.conv2d(wide, line[None, None, None])

    mx, my = blur(x), blur(y)
    vx, vy, cov = blur(x * x) - mx * mx, blur(y * y) - my * my, blur(x * y) - mx * my
    c1, c2 = 0.01**2, 0.03**2
    value = (2 * mx * my + c1) * (2 * cov + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))
    return float(value.mean())


def evaluate(model: TinyModel, scene: Scene, seed: int) -> tuple[dict[str, Any], Tensor]:
    """One prompt: verdict, seconds, similarity without history; and the frames."""
    geometry = model.transformer.config.geometry()
    chunk = geometry.chunk_frames  # The first chunk has no history to lose.
    began = time.perf_counter()
    latents = model.rollout(scene, seed, FRAMES).run(CacheSession(compose([bf16()]), geometry))
    seconds = time.perf_counter() - began
    forgetful = model.rollout(scene, seed, FRAMES).run(CacheSession(Forgetful(), geometry))
    frames, without = (pixels.to_uint8(pixels.decode(x[0])).cpu() for x in (latents, forgetful))
    verdict = judge(frames, scene)
    row = {
        "prompt": scene.sentence(),
        "seed": seed,
        "seconds": round(seconds, 2),
        "object_ok": verdict.object_ok,
        "motion_ok": verdict.motion_ok,
        "object_share": round(verdict.object_share, 3),
        "motion_share": round(verdict.motion_share, 3),
        "first_quarter": round(verdict.score_first_quarter, 3),
        "last_quarter": round(verdict.score_last_quarter, 3),
        "ssim_without_history": round(ssim(frames[chunk:], without[chunk:]), 3),
    }
    return row, frames


def summary(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Means over the prompts of one suite."""
    count = len(rows)
    first, last = (sum(r[name] for r in rows) / count for name in ("first_quarter", "last_quarter"))
    return {
        "prompts": count,
        "object_ok": sum(r["object_ok"] for r in rows) / count,
        "motion_ok": sum(r["motion_ok"] for r in rows) / count,
        "last_over_first": last / max(first, 1e-9),
        "ssim_without_history": sum(r["ssim_without_history"] for r in rows) / count,
        "seconds_median": sorted(r["seconds"] for r in rows)[count // 2],
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path, default=CHECKPOINT)
    parser.add_argument("--suites", nargs="+", default=["tiny", "tiny-story"])
    parser.add_argument("--prompts", type=int, default=20, help="of each suite")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--sheet", type=Path, help="PNG: rows are prompts, columns frames")
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    model = TinyModel.load(arguments.checkpoint).to(arguments.device)
    report: dict[str, Any] = {"frames": FRAMES, "device": arguments.device, "suites": {}}
    strips = []
    for suite in arguments.suites:
        rows = []
        scenes = suite_scenes(suite)[: arguments.prompts]
        for seed, scene in enumerate(scenes, arguments.first_seed):
            row, frames = evaluate(model, scene, seed)
            rows.append(row)
            strips.append(torch.cat([frames[i] for i in SHEET_COLUMNS], dim=1))
            marks = "".join("+" if row[k] else "-" for k in ("object_ok", "motion_ok"))
            numbers = [row[k] for k in list(row)[5:]]
            print(marks, *(f"{n:6.3f}" for n in numbers), row["prompt"], flush=True)
        report["suites"][suite] = {"summary": summary(rows), "videos": rows}
        print(suite, json.dumps(summary(rows)), flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=1))
    if arguments.sheet:
        Image.fromarray(torch.cat(strips).numpy()).save(arguments.sheet, optimize=True)


if __name__ == "__main__":
    main()
