"""Downloads from the Hugging Face Hub: progress and retries are the library's, digests ours."""

from __future__ import annotations

import errno
import hashlib
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from kvbench_core.errors import BackendError
from kvbench_selfforcing_wan.full.extra import require
from kvbench_selfforcing_wan.presets import HubFile

DISK = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM}
SHA256 = re.compile(r"[0-9a-f]{64}")


def fetch(files: Sequence[HubFile], folder: Path | None, say: Callable[[str], None]) -> None:
    """Download what is not there yet and compare its SHA-256 with the Hub's.

    Into the Hugging Face cache, or into ``folder``, one folder for each repository.

    Raises:
        BackendError: the Hub cannot be reached, a file is not there, the disk is full, or a digest
            differs.
    """
    hub = require("huggingface_hub")
    for number, file in enumerate(files, 1):
        say(f"[{number}/{len(files)}] {file.repo} {file.path}")
        place = None if folder is None else folder / file.repo.rpartition("/")[2]
        try:
            path = Path(hub.hf_hub_download(file.repo, file.path, local_dir=place))
            expected = hub.get_hf_file_metadata(hub.hf_hub_url(file.repo, file.path)).etag
        except Exception as error:  # the library raises what its HTTP client raises
            raise BackendError(f"cannot download {file.repo} {file.path}: {_why(error)}") from error
        verify(path, expected)
        if file.sha256 not in (None, expected):
            say(f"  note: {file.name} is not the file that this preset was written for")


def verify(path: Path, expected: str | None) -> None:
    """Compare a large file with the digest that the Hub states; small ones have none.

    Raises:
        BackendError: they differ.
    """
    if expected is None or not SHA256.fullmatch(expected):
        return
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != expected:
        raise BackendError(
            f"{path} has SHA-256 {digest}, the Hub says {expected}; delete it and fetch it again"
        )


def _why(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno in DISK:
        return f"{error.strerror}; choose another folder with --to"
    text = " ".join(str(error).split())
    return f"{text[:200]} (is this machine online?)"
