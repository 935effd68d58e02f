"""The metrics ``lpips``, ``lpips_vgg`` and ``lpips_squeeze``."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

from kvbench_core.metric import Column, Frame, FrameMetric, require_side
from kvbench_lpips.trunk import ALEX, SQUEEZE, VGG, Trunk

if TYPE_CHECKING:
    import torch

HEADS = "0.1"
"""The version of the linear heads, which are part of the ``lpips`` package."""


def _column(name: str, trunk: str) -> Column:
    return Column(
        name=name, unit="", better="lower", summary=f"LPIPS ({trunk}) to BF16, mean over frames"
    )


class Lpips(FrameMetric):
    """Learned perceptual distance (Zhang et al. 2018, arXiv:1801.03924), mean over all frames.

    Computed by the ``lpips`` package at the video's own resolution, one frame at a time, pixels
    scaled to [-1, 1]; 0 for equal frames. On CUDA where there is a device.
    """

    name: ClassVar[str] = "lpips"
    version: ClassVar[str] = "1"
    columns: ClassVar[tuple[Column, ...]] = (_column("lpips", "AlexNet"),)
    needs_reference: ClassVar[bool] = True
    trunk: ClassVar[Trunk] = ALEX

    def check_available(self) -> None:
        self.trunk.find()

    def settings(self) -> Mapping[str, str | int | float | bool]:
        return {
            "function": "lpips.LPIPS",
            "net": self.trunk.net,
            "trunk_sha256": self.trunk.sha256,
            "heads": HEADS,
            "pixel_range": "-1 to 1",
        }

    def score_frame(self, frame: Frame, reference: Frame | None) -> Mapping[str, float | None]:
        import torch

        assert reference is not None
        require_side(self.name, frame, self.trunk.min_side)
        with torch.inference_mode():
            distance = self._net(self._tensor(reference), self._tensor(frame))
        return {self.name: float(distance)}

    @cached_property
    def _device(self) -> str:
        import torch

        return "cuda" if torch.cuda.is_available() else "cpu"

    @cached_property
    def _net(self) -> torch.nn.Module:
        """The package's network with the weights of :attr:`trunk`."""
        import lpips
        import torch

        state = torch.load(self.trunk.find(), map_location="cpu", weights_only=True)
        # Modules begin with random weights; the package calls torchvision in a deprecated way.
        with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            # pnet_rand: without it the package asks torchvision, which downloads.
            net = lpips.LPIPS(net=self.trunk.net, version=HEADS, pnet_rand=True, verbose=False)
        # The package cuts torchvision's "features" into slices and keeps the numbers behind.
        net.net.load_state_dict(
            {key: state["features." + key.partition(".")[2]] for key in net.net.state_dict()}
        )
        module: torch.nn.Module = net.to(self._device)
        return module

    def _tensor(self, frame: Frame) -> torch.Tensor:
        """``[1, 3, height, width]`` in [-1, 1], as the package's own ``im2tensor`` makes it."""
        import torch

        pixels = torch.from_numpy(frame).to(self._device).permute(2, 0, 1)[None]
        return pixels / 127.5 - 1


class LpipsVgg(Lpips):
    """LPIPS over VGG-16."""

    name: ClassVar[str] = "lpips_vgg"
    columns: ClassVar[tuple[Column, ...]] = (_column("lpips_vgg", "VGG-16"),)
    trunk: ClassVar[Trunk] = VGG


class LpipsSqueeze(Lpips):
    """LPIPS over SqueezeNet 1.1."""

    name: ClassVar[str] = "lpips_squeeze"
    columns: ClassVar[tuple[Column, ...]] = (_column("lpips_squeeze", "SqueezeNet 1.1"),)
    trunk: ClassVar[Trunk] = SQUEEZE
