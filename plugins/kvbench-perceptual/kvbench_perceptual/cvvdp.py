"""The metric ``cvvdp``."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

from kvbench_core.metric import Column, Metric, Scores, Video

if TYPE_CHECKING:
    import pycvvdp

DISPLAY = "standard_fhd"
"""24 inches, 1920 x 1080, 200 cd/m^2, in an office, seen from two screen heights (0.6 m)."""

GPU_MEMORY_GB = 4.0
"""What it may use on CUDA; by default it takes all that is free."""


class Cvvdp(Metric):
    """ColorVideoVDP (Mantiuk et al. 2024, doi:10.1145/3658144): visible differences, in JOD.

    Just-objectionable differences: 10 for equal videos, one less where three quarters of observers
    would prefer the reference. Sees colour, and flicker over time, so it scores videos, not frames.
    The pixels are taken to be shown one to one on the display that the settings name. On CUDA where
    there is a device.
    """

    name: ClassVar[str] = "cvvdp"
    version: ClassVar[str] = "1"
    columns: ClassVar[tuple[Column, ...]] = (
        Column(
            name="cvvdp",
            unit="JOD",
            better="higher",
            summary="ColorVideoVDP to BF16; 10 is no visible difference",
        ),
    )
    needs_reference: ClassVar[bool] = True

    def settings(self) -> Mapping[str, str | int | float | bool]:
        return {
            "function": "pycvvdp.cvvdp",
            "display": DISPLAY,
            "temporal_padding": "replicate",
        }

    def score(self, video: Video, reference: Video | None, prompt: str) -> Scores:
        """Score the video as a whole, decoding it once.

        Raises:
            KvbenchError: the videos differ in length or size, or have no frame.
        """
        import torch

        assert reference is not None
        with unlogged():
            from kvbench_perceptual.frame_source import FrameSource

            source = FrameSource(video, reference, self._model.display_photometry)
            # Its blur draws a random width between two equal bounds.
            with torch.inference_mode(), torch.random.fork_rng(devices=[]):
                jod, _ = self._model.predict_video_source(source)
        return Scores(values={"cvvdp": float(jod)})

    @cached_property
    def _model(self) -> pycvvdp.cvvdp:
        import pycvvdp
        import torch

        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        return pycvvdp.cvvdp(
            display_name=DISPLAY,
            temp_padding="replicate",
            gpu_mem=GPU_MEMORY_GB,
            device=device,
            quiet=True,
        )


@contextmanager
def unlogged() -> Iterator[None]:
    """No warnings in the log: of a CUDA toolkit without a GPU when imported, of dark frames."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
