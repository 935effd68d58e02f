"""Video generators: what the harness asks of one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from attrs import frozen

from kvbench_core.errors import BackendError
from kvbench_core.geometry import CacheGeometry

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from kvbench_core.cache import Rotation
    from kvbench_core.session import CacheSession

OnChunk = Callable[["Tensor"], None]


@frozen
class Finding:
    """One line of ``kvbench doctor``: what was looked at, whether it will do, and the detail."""

    subject: str
    ok: bool
    detail: str


class Backend(ABC):
    """A generator before its weights are loaded: cheap to make, knows its shape."""

    default_frames: int
    """Latent frames of a rollout, where nobody says otherwise."""
    fps: float
    """Frames per second of the decoded video."""
    default_suite: str
    """The suite that a bare ``kvbench run`` uses."""
    max_frames: int
    """The most latent frames that positions allow."""

    @abstractmethod
    def geometry(self) -> CacheGeometry:
        """The shape of the self-attention cache at batch size 1."""

    def check_frames(self, frames: int) -> None:
        """Refuse a number of latent frames that cannot be generated.

        Raises:
            BackendError: with the nearest number that can.
        """
        chunk = self.geometry().chunk_frames
        most = self.max_frames // chunk * chunk
        nearest = min(max(chunk, round(frames / chunk) * chunk), most)
        if frames != nearest:
            raise BackendError(
                f"cannot generate {frames} latent frames: chunks have {chunk} and positions end "
                f"at {self.max_frames}; the nearest possible number is {nearest}"
            )

    def diagnose(self) -> Sequence[Finding]:
        """What ``kvbench doctor`` says about weights and libraries, without loading them."""
        return ()

    @abstractmethod
    def video_frames(self, frames: int) -> int:
        """Decoded video frames of ``frames`` latent frames."""

    @abstractmethod
    def resident_bytes(self, frames: int) -> Mapping[str, int]:
        """Device memory besides the KV cache during generation, item by item.

        These are lower bounds computed from shapes: weights, cross-attention cache, latents,
        the largest activations.
        """

    @abstractmethod
    def load(self, device: torch.device) -> Generator:
        """Load the weights.

        Raises:
            BackendError: a weight file is missing or wrong; the message names it and the remedy.
        """


class Generator(ABC):
    """A loaded generator on one device."""

    device: torch.device
    cache_dtype: torch.dtype
    """Dtype of an uncompressed cache (bf16)."""
    rotation: Rotation | None = None

    @abstractmethod
    def generate(
        self, prompt: str, seed: int, frames: int, session: CacheSession, on_chunk: OnChunk
    ) -> Tensor:
        """Latents ``[frame, channel, height, width]`` of ``frames`` latent frames.

        Calls ``on_chunk`` with each chunk's latents after its clean pass. All noise follows from
        ``seed``: the same prompt and seed see the same noise whatever the session's policy does.
        """

    @abstractmethod
    def decode(self, latents: Tensor) -> Iterator[Tensor]:
        """Video frames as uint8 ``[frame, height, width, 3]`` on the CPU, piece by piece."""
