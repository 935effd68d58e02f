"""Video generators: what the harness asks of one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

from attrs import frozen

from kvbench_core.errors import BackendError
from kvbench_core.geometry import CacheGeometry

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from kvbench_core.cache import Rotation
    from kvbench_core.session import CacheSession

OnChunk = Callable[["Tensor"], None]

Decoder = Callable[["Tensor"], "Tensor"]
"""Successive latents of one video ``[frame, channel, height, width]``, any number at a time, to its
next frames, uint8 ``[frame, height, width, 3]`` on the CPU."""

AUTO = "auto"
"""Weights from where the generator finds them by itself."""
SYNTHETIC = "synthetic"
"""Seeded random weights: memory and time are those of the real ones, the picture is noise."""


@frozen
class Finding:
    """One line of ``kvbench doctor``: what was looked at, whether it will do, and the detail."""

    subject: str
    ok: bool
    detail: str


@frozen(kw_only=True)
class WeightFile:
    """A file that a generator needs; ``path`` is where it was found, ``bytes`` its known size."""

    name: str
    source: str
    bytes: int | None
    path: Path | None


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
    weights: str = "built in"
    """What the weights are, for the record; :data:`SYNTHETIC` if they were never trained."""
    resolution: tuple[int, int] | None = None
    """Width and height of the video in pixels, of a generator that offers a choice."""

    def configured(
        self,
        *,
        weights: str = AUTO,
        resolution: tuple[int, int] | None = None,
        continue_from: Path | None = None,
    ) -> Self:
        """This generator with a user's choices; ``None`` and :data:`AUTO` leave things as they are.

        ``weights`` is :data:`AUTO`, :data:`SYNTHETIC` or a folder. ``continue_from`` is a video or
        image that every rollout begins with. Override where there is a choice.

        Raises:
            BackendError: there is no such choice.
        """
        if weights != AUTO:
            raise BackendError(
                f"this generator has its weights built in and cannot use {weights!r}; "
                "leave out --weights"
            )
        if resolution is not None:
            raise BackendError("this generator has one resolution; leave out --resolution")
        if continue_from is not None:
            raise BackendError("this generator cannot continue a video; leave out --continue-from")
        return self

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

    def weight_files(self) -> Sequence[WeightFile]:
        """What has to be downloaded, the largest part of it first; nothing if it is built in."""
        return ()

    def fetch_weights(self, folder: Path | None, say: Callable[[str], None]) -> None:
        """Download what is missing, into ``folder`` or where :meth:`load` looks by itself.

        ``say`` gets a line for each file.

        Raises:
            BackendError: a file cannot be had, or is not what was published.
        """
        raise BackendError("this generator has its weights built in; there is nothing to fetch")

    def require_weights(self) -> None:  # noqa: B027 - most have them built in
        """Make sure, without reading them, that :meth:`load` will find its files.

        Raises:
            BackendError: one is missing; the message names it and the remedy.
        """

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

    def decoding_bytes(self) -> int:
        """Device memory while a video is decoded, weights included, the cache already released.

        0, the default, where that is less than generation needs.
        """
        return 0

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

    def prepare(self, prompts: Sequence[str]) -> None:  # noqa: B027 - most need nothing
        """Do once what many prompts need before their rollouts, such as encoding their text.

        Nobody measures this. ``generate`` works without it.
        """

    @abstractmethod
    def generate(
        self, prompt: str, seed: int, frames: int, session: CacheSession, on_chunk: OnChunk
    ) -> Tensor:
        """Latents ``[frame, channel, height, width]`` of ``frames`` latent frames.

        Calls ``on_chunk`` with each chunk's latents after its clean pass. All noise follows from
        ``seed``: the same prompt and seed see the same noise whatever the session's policy does.
        """

    @abstractmethod
    def decoder(self) -> Decoder:
        """A decoder at the beginning of a video.

        However its latents are cut into pieces, the frames are the same.

        Raises:
            BackendError: a library that decoding needs is missing.
        """

    def decode(self, latents: Tensor) -> Iterator[Tensor]:
        """The frames of ``[frame, channel, height, width]``, one latent frame at a time."""
        decoder = self.decoder()
        for piece in latents.split(1):
            yield decoder(piece)
