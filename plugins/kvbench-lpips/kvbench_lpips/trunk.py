"""The ImageNet weights under LPIPS: where they are looked for. Nothing is ever downloaded."""

from __future__ import annotations

import hashlib
import os
from functools import cache
from pathlib import Path

from attrs import frozen

from kvbench_core.errors import MetricUnavailableError

FOLDER_VARIABLE = "KVBENCH_LPIPS_WEIGHTS"
"""Environment variable: a folder to use instead of torchvision's cache."""


@frozen(kw_only=True)
class Trunk:
    """A network as the ``lpips`` package calls it, and torchvision's file with its weights.

    ``sha256`` is how the file's digest begins, which torchvision writes into the file's name;
    ``min_side`` the height and width in pixels below which the network has no output.
    """

    net: str
    file: str
    sha256: str
    megabytes: float
    min_side: int

    def find(self) -> Path:
        """The file, known to be torchvision's.

        Raises:
            MetricUnavailableError: it is missing, or is another file of that name.
        """
        path = _folder() / self.file
        if not path.is_file():
            raise MetricUnavailableError(
                f"LPIPS needs torchvision's weights {path} ({self.megabytes} MB); put "
                f"https://download.pytorch.org/models/{self.file} there, or set {FOLDER_VARIABLE} "
                "to the folder that has it"
            )
        about = path.stat()
        digest = _digest(path, about.st_size, about.st_mtime_ns)
        if not digest.startswith(self.sha256):
            raise MetricUnavailableError(
                f"{path} is damaged or not torchvision's: its SHA-256 begins with {digest[:8]}, "
                f"not with {self.sha256}; replace it by "
                f"https://download.pytorch.org/models/{self.file}"
            )
        return path


@cache
def _digest(path: Path, _size_bytes: int, _changed_ns: int) -> str:
    """SHA-256 of a file in hexadecimal digits, computed once for a file that does not change."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _folder() -> Path:
    """The given folder, or torchvision's cache, ``$TORCH_HOME/hub/checkpoints``."""
    given = os.environ.get(FOLDER_VARIABLE)
    if given:
        return Path(given)
    from torch.hub import get_dir

    return Path(get_dir()) / "checkpoints"


ALEX = Trunk(
    net="alex",
    file="alexnet-owt-7be5be79.pth",
    sha256="7be5be79",
    megabytes=233.1,
    min_side=31,
)
VGG = Trunk(
    net="vgg",
    file="vgg16-397923af.pth",
    sha256="397923af",
    megabytes=527.8,
    min_side=16,
)
SQUEEZE = Trunk(
    net="squeeze",
    file="squeezenet1_1-b8a52dc0.pth",
    sha256="b8a52dc0",
    megabytes=4.7,
    min_side=17,
)
