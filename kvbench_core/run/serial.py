"""Records to JSON and back, strictly, and files that are whole or absent."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from reprlib import repr as shortened
from stat import S_ISREG
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin

from cattrs import Converter, transform_error

from kvbench_core.errors import KvbenchError, StoreError
from kvbench_core.run.records import FORMAT_VERSION

RecordT = TypeVar("RecordT")
LARGEST_FILE_BYTES = 64 * 2**20
LARGEST_NUMBER = 2**63
SCALARS = (str, int, float, bool)


def _scalar(value: Any, kinds: tuple[type, ...]) -> Any:
    """``value`` itself if its type is among ``kinds``; only a whole number may become a float."""
    if type(value) in (int, float) and not abs(value) < LARGEST_NUMBER:
        raise ValueError(f"the number {shortened(value)} is not finite or too large")
    if type(value) is int and int not in kinds and float in kinds:
        value = float(value)
    if type(value) not in kinds:
        names = " or ".join(kind.__name__ for kind in kinds)
        raise ValueError(f"expected {names}, got {shortened(value)}")
    if type(value) is str:
        value.encode()  # refuses half of a surrogate pair, which nothing could print
    return value


def _list(value: Any, kind: Any) -> list[Any]:
    """Stops at the first element that does not fit, as there may be millions."""
    if type(value) is not list:
        raise ValueError(f"expected a list, got {shortened(value)}")
    (inner,) = get_args(kind)
    return [CONVERTER.structure(each, inner) for each in value]


def _mapping(value: Any, kind: Any) -> dict[str, Any]:
    if type(value) is not dict:
        raise ValueError(f"expected names with values, got {shortened(value)}")
    _, inner = get_args(kind)
    return {_scalar(name, (str,)): CONVERTER.structure(each, inner) for name, each in value.items()}


def _origin(kind: Any) -> Any:
    return get_origin(kind)


def _is_scalar_union(kind: Any) -> bool:
    return _origin(kind) is UnionType and set(get_args(kind)) <= {*SCALARS, type(None)}


def _converter() -> Converter:
    converter = Converter(forbid_extra_keys=True)
    for scalar in SCALARS:
        converter.register_structure_hook(scalar, lambda value, kind: _scalar(value, (kind,)))
    converter.register_structure_hook_func(
        _is_scalar_union, lambda value, kind: _scalar(value, get_args(kind))
    )
    converter.register_structure_hook_func(lambda kind: _origin(kind) is list, _list)
    converter.register_structure_hook_func(lambda kind: _origin(kind) is dict, _mapping)
    return converter


CONVERTER = _converter()


def _reject_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON number")


def read_record(path: Path, kind: type[RecordT]) -> RecordT:
    """The record in a JSON file.

    Raises:
        FileNotFoundError, NotADirectoryError: there is no such file.
        StoreError: the file is damaged.
        NewerFormatError: a later kvbench wrote it.
    """
    try:
        state = path.stat()
        if not S_ISREG(state.st_mode):
            raise StoreError(f"{path} is damaged: it is no plain file")
        if state.st_size > LARGEST_FILE_BYTES:
            raise StoreError(f"{path} is damaged: {state.st_size} bytes is too much for a record")
        data = json.loads(path.read_bytes(), parse_constant=_reject_constant)
    except (FileNotFoundError, NotADirectoryError):
        raise
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise StoreError(f"{path} is damaged: {_short(error)}") from error
    check_version(path, data)
    try:
        return CONVERTER.structure(data, kind)
    except Exception as error:  # validators of the records raise what they like
        reason = "; ".join(transform_error(error, path=kind.__name__, format_exception=_why))
        raise StoreError(f"{path} is damaged: {_short(reason)}") from error


def check_version(path: Path, data: object) -> None:
    """Refuse what a later kvbench wrote.

    Raises:
        StoreError: there is no format version.
        NewerFormatError: it is one that this kvbench does not know.
    """
    version = data.get("format_version") if isinstance(data, dict) else None
    if type(version) is not int or version < 1:
        raise StoreError(f"{path} is damaged: it states no format version")
    if version > FORMAT_VERSION:
        raise NewerFormatError(
            f"{path} has format version {shortened(version)}, and this kvbench reads up to "
            f"{FORMAT_VERSION}: upgrade kvbench-core to use this run directory"
        )


class NewerFormatError(KvbenchError):
    """A file is not damaged but written by a later kvbench; it must not be overwritten.

    No :class:`StoreError`, so that nobody takes it for damage that a new cell would mend.
    """


def _why(error: BaseException, _: type | None) -> str:
    return f"{error} is missing" if isinstance(error, KeyError) else str(error)


def _short(reason: object) -> str:
    line = " ".join(str(reason).split())
    printable = "".join(c if c.isprintable() else "?" for c in line)
    return printable if len(printable) <= 300 else printable[:297] + "..."


def write_record(path: Path, record: object) -> None:
    """Replace ``path`` by ``record`` as JSON, at once."""
    text = json.dumps(CONVERTER.unstructure(record), indent=1, allow_nan=False) + "\n"
    with_whole_file(path, lambda partial: partial.write_text(text, encoding="utf-8"))


def with_whole_file(path: Path, fill: Callable[[Path], object]) -> None:
    """Let ``fill`` write a file beside ``path``, then put it in place, surviving a power cut.

    The caller holds the lock that goes with ``path``, so the name beside it is free.

    Raises:
        StoreError: the disk is full, read-only or the like.
    """
    partial = path.with_name(f".{path.name}.partial{path.suffix}")
    try:
        partial.unlink(missing_ok=True)  # a link there would be written through
        try:
            fill(partial)
            _sync(partial, os.O_RDWR)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
        _sync(path.parent, os.O_RDONLY)
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror or error}") from error


def _sync(path: Path, flags: int) -> None:
    if os.name == "nt" and path.is_dir():  # Windows cannot open a folder
        return
    handle = os.open(path, flags)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
