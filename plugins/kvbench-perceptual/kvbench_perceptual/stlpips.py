"""The metric ``stlpips``."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from types import ModuleType
from typing import TYPE_CHECKING, ClassVar

from kvbench_core.metric import Column, Frame, FrameMetric, require_side

if TYPE_CHECKING:
    import torch

MIN_SIDE = 21
"""Pixels; on smaller frames the last layers have nothing left."""


class StLpips(FrameMetric):
    """Shift-tolerant LPIPS (Ghildyal and Liu 2022, arXiv:2207.13686), mean over all frames.

    The AlexNet variant of the ``stlpips-pytorch`` package, which contains its trained network. Not
    to be compared with LPIPS: another network with other weights. 0 for equal frames. On CUDA where
    there is a device.
    """

    name: ClassVar[str] = "stlpips"
    version: ClassVar[str] = "1"
    columns: ClassVar[tuple[Column, ...]] = (
        Column(
            name="stlpips", unit="", better="lower", summary="ST-LPIPS to BF16, mean over frames"
        ),
    )
    needs_reference: ClassVar[bool] = True

    def settings(self) -> Mapping[str, str | int | float | bool]:
        return {
            "function": "stlpips_pytorch.stlpips.LPIPS",
            "net": "alex",
            "variant": "shift_tolerant",
            "pixel_range": "-1 to 1",
        }

    def score_frame(self, frame: Frame, reference: Frame | None) -> Mapping[str, float | None]:
        import torch

        assert reference is not None
        require_side(self.name, frame, MIN_SIDE)
        with torch.inference_mode():
            distance = self._net(self._tensor(reference), self._tensor(frame))
        return {"stlpips": float(distance)}

    @cached_property
    def _device(self) -> str:
        import torch

        return "cuda" if torch.cuda.is_available() else "cpu"

    @cached_property
    def _net(self) -> torch.nn.Module:
        import torch

        with stand_in("IPython", "embed"), stand_in("torchsummary", "summary"):
            from stlpips_pytorch.stlpips import LPIPS
        with torch.random.fork_rng(devices=[]):  # modules begin with random weights
            net: torch.nn.Module = LPIPS(net="alex", variant="shift_tolerant", verbose=False)
        return net.to(self._device)

    def _tensor(self, frame: Frame) -> torch.Tensor:
        """``[1, 3, height, width]`` in [-1, 1]."""
        import torch

        pixels = torch.from_numpy(frame).to(self._device).permute(2, 0, 1)[None]
        return pixels / 127.5 - 1


@contextmanager
def stand_in(module: str, attribute: str) -> Iterator[None]:
    """An empty ``module`` while the package is imported, unless the real one is loaded.

    stlpips-pytorch 0.0.2 imports IPython and torchsummary, for debugging, and declares neither.
    """
    if module in sys.modules:
        yield
        return
    empty = ModuleType(module)
    setattr(empty, attribute, None)
    sys.modules[module] = empty
    try:
        yield
    finally:
        del sys.modules[module]
