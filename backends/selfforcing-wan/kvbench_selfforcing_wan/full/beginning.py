"""The beginning of a video that a rollout continues."""

from __future__ import annotations

from collections import deque
from pathlib import Path

import av
import numpy as np
import torch
from torch import Tensor

from kvbench_core.errors import BackendError
from kvbench_selfforcing_wan.config import WanConfig


def read_beginning(path: Path, config: WanConfig, size: tuple[int, int]) -> Tensor:
    """The last frames of a video or image, uint8 ``[frame, height, width, 3]``.

    As many as fill whole chunks, at most the attention window without the chunk to come: ``n``
    latent frames are ``4 n - 3`` frames. ``size`` is the width and height that they must have.

    Raises:
        BackendError: the file cannot be read, is too short or of another size.
    """
    chunk, window = config.chunk_frames, config.window_frames
    most = max(chunk, (window - chunk) // chunk * chunk)
    frames = _last_frames(path, 4 * most - 3)
    height, width = frames.shape[1:3]
    if (width, height) != size:
        raise BackendError(
            f"{path} is {width}x{height} and the video to generate {size[0]}x{size[1]}; "
            "scale it, or choose another --resolution"
        )
    latent = min(most, (len(frames) + 3) // 4 // chunk * chunk)
    if not latent:
        raise BackendError(
            f"{path} has {len(frames)} frames; this generator continues from at least "
            f"{4 * chunk - 3}"
        )
    return frames[-(4 * latent - 3) :]


def _last_frames(path: Path, count: int) -> Tensor:
    last: deque[np.ndarray] = deque(maxlen=count)
    try:
        with av.open(str(path)) as container:
            for picture in container.decode(video=0):
                last.append(picture.to_ndarray(format="rgb24"))
    except (av.FFmpegError, IndexError, OSError) as error:
        raise BackendError(f"cannot read {path} as a video or image: {error}") from error
    if not last:
        raise BackendError(f"{path} has no frames")
    return torch.from_numpy(np.stack(last))
