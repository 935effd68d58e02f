"""What all dimensions have in common."""

from __future__ import annotations

import tempfile
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import ClassVar

import numpy as np

from kvbench_core.metric import Column, Metric, Scores, Video
from kvbench_core.run.video import write_video
from kvbench_vbench.package import quiet, require
from kvbench_vbench.weights import Weights, digest

Scorer = Callable[[str, str], Scores]
"""From a video file and its prompt to scores."""


class Dimension(Metric):
    """One dimension of VBench (Huang et al. 2024, arXiv:2311.17982), by the ``vbench`` package.

    The package's own function scores the video, as its mode ``custom_input`` does; models are
    loaded once instead of once for each call, and only from files. On CUDA where there is a device.
    """

    version: ClassVar[str] = "1"
    modules: ClassVar[tuple[str, ...]] = ()
    """What is imported besides what every dimension needs."""
    weights: ClassVar[tuple[Weights, ...]] = ()
    min_frames: ClassVar[int] = 1
    min_side: ClassVar[int] = 1
    """Height and width in pixels below which the package's networks have no output."""

    @abstractmethod
    def load(self, device: str, files: Sequence[Path]) -> Scorer:
        """Load the models from ``files``, those of :attr:`weights` in their order."""

    def check_available(self) -> None:
        require(self.name, self.modules)
        for weights in self.weights:
            weights.find()

    def settings(self) -> Mapping[str, str | int | float | bool]:
        return {"vbench": version("vbench"), **self._digests}

    def score(self, video: Video, reference: Video | None, prompt: str) -> Scores:
        """Score a lossless copy of the video, since the package reads files.

        A video that is too short or too small has no score.

        Raises:
            StoreError: the video has no frame, or frames of several sizes.
        """
        import torch

        with tempfile.TemporaryDirectory(prefix="kvbench-vbench-") as folder:
            path = Path(folder) / "video.mp4"
            size = write_video((frame[np.newaxis] for frame in video), video.fps, path)
            refusal = self._refusal(*size)
            if refusal:
                return Scores(values={self.name: None}, notes={"reason": refusal})
            with torch.inference_mode():
                return self._scorer(str(path), prompt)

    def _refusal(self, frames: int, height: int, width: int) -> str | None:
        if frames < self.min_frames:
            return f"it needs at least {self.min_frames} frames; the video has {frames}"
        if min(height, width) < self.min_side:
            return (
                f"it needs frames of at least {self.min_side} x {self.min_side} pixels; "
                f"these are {width} x {height}"
            )
        return None

    def _scored(self, function: Callable[[str], tuple[float, object]]) -> Scorer:
        """The package's function: first what it returns is the mean over its videos, here one."""
        return lambda path, _prompt: Scores(values={self.name: float(function(path)[0])})

    @cached_property
    def _digests(self) -> dict[str, str]:
        return {Path(item.path).name: digest(item.find())[:16] for item in self.weights}

    @cached_property
    def _scorer(self) -> Scorer:
        import torch

        device = "cuda" if torch.cuda.is_available() else "cpu"
        # Modules begin with random weights: the global generator is put back.
        with quiet(), torch.random.fork_rng(devices=[]):
            return self.load(device, [item.find() for item in self.weights])


def column(name: str, summary: str) -> Column:
    """The column of a dimension, which has its name; higher is better in all of them."""
    return Column(name=name, unit="", better="higher", summary=f"VBench {summary}")
