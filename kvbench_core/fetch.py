"""Downloading a prompt file: resumed after an interruption, used only when it is the right one."""

from __future__ import annotations

from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from filelock import FileLock

from kvbench_core.prompt_files import PromptFile
from kvbench_core.suite import SuiteError

TIMEOUT_S = 30.0
BLOCK_BYTES = 64 * 1024


def fetch(file: PromptFile, on_bytes: Callable[[int], object]) -> bool:
    """Put the published file into the cache; ``False`` if it was there already.

    ``on_bytes`` hears how many bytes have come so far, those of an earlier attempt included.

    Raises:
        SuiteError: it cannot be downloaded, has changed or cannot be written. What has come is
            kept for the next attempt.
    """
    target = file.cached
    partial = target.with_name(f".{target.name}.partial")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{partial}.lock"):
            if file.is_intact(target):
                return False
            if not file.is_intact(partial):
                _download(file, partial, on_bytes)
            _check(file, partial)
            partial.replace(target)
            return True
    except (OSError, HTTPException) as error:  # URLError is an OSError
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
        raise SuiteError(
            f"cannot fetch {file.url}: {reason}; get the file in another way and put it at "
            f"{target}, or set {file.variable} to its path"
        ) from error


def _download(file: PromptFile, partial: Path, on_bytes: Callable[[int], object]) -> None:
    have = partial.stat().st_size if partial.exists() else 0
    if have >= file.bytes:  # complete, but not the file
        partial.unlink()
        have = 0
    with _opened(file.url, have) as response:
        goes_on = response.status == 206
        have = have if goes_on else 0
        with partial.open("ab" if goes_on else "wb") as out:
            while have <= file.bytes and (block := response.read(BLOCK_BYTES)):
                out.write(block)
                have += len(block)
                on_bytes(have)


def _opened(url: str, have: int) -> Any:
    headers = {"Range": f"bytes={have}-"} if have else {}
    return urlopen(Request(url, headers=headers), timeout=TIMEOUT_S)  # noqa: S310 - our own address


def _check(file: PromptFile, partial: Path) -> None:
    size = partial.stat().st_size
    if size < file.bytes:
        raise SuiteError(
            f"the connection ended after {size} of {file.bytes} bytes of {file.url}; "
            "the same command goes on from there"
        )
    if not file.is_intact(partial):
        partial.unlink()
        raise SuiteError(
            f"{file.url} is no longer the published file (its SHA-256 is not {file.sha256}); "
            f"set {file.variable} to the path of a file that you trust"
        )
