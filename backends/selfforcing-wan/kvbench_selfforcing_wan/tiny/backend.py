"""The small generator as the harness sees it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from kvbench_core.backend import Finding
from kvbench_selfforcing_wan.backend import WanBackend
from kvbench_selfforcing_wan.config import TINY

if TYPE_CHECKING:
    import torch

    from kvbench_selfforcing_wan.tiny.generator import TinyGenerator


class TinyBackend(WanBackend):
    """The small trained generator that ships with the package."""

    default_suite = "tiny"

    def __init__(self) -> None:
        super().__init__(TINY)

    def video_frames(self, frames: int) -> int:
        return frames

    def load(self, device: torch.device) -> TinyGenerator:
        from kvbench_selfforcing_wan.tiny.generator import TinyGenerator

        return TinyGenerator(device)

    def diagnose(self) -> Sequence[Finding]:
        from kvbench_selfforcing_wan.tiny.model import CHECKPOINT

        size = CHECKPOINT.stat().st_size if CHECKPOINT.is_file() else 0
        detail = f"{size / 1e6:.1f} MB, in the package" if size else f"{CHECKPOINT} is missing"
        return (Finding("checkpoint", bool(size), detail),)
