"""Prompt suites, and prompt files as suites."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import Attribute, field, frozen
from attrs.validators import ge

from kvbench_core.errors import KvbenchError, ParameterError

if TYPE_CHECKING:
    from kvbench_core.registry import Registry

LONGEST_PROMPT = 20_000
LONGEST_ID = 200
LARGEST_FILE_BYTES = 16 * 2**20


class SuiteError(KvbenchError):
    """A suite or a prompt file makes no sense."""


class SuiteUnavailableError(SuiteError):
    """A suite's prompts are not on this machine. The message says how to get them."""


@frozen(kw_only=True)
class Prompt:
    """One prompt. ``index`` is its place in the suite; the seed of a cell is base + index."""

    id: str
    index: int = field(validator=ge(0))
    text: str

    def __attrs_post_init__(self) -> None:
        name = self.id
        if not (0 < len(name) <= LONGEST_ID and name.isprintable() and name == name.strip()):
            rule = f"1 to {LONGEST_ID} printable characters"
            raise ParameterError("prompt", "id", rule, name[: LONGEST_ID + 1])
        if not self.text.strip() or len(self.text) > LONGEST_PROMPT or not _is_unicode(self.text):
            rule = f"1 to {LONGEST_PROMPT} characters of valid text"
            raise ParameterError(f"prompt {name}", "text", rule, self.text[:60])


def _is_unicode(text: str) -> bool:
    """Whether ``text`` can be written to a file: no NUL, no half of a surrogate pair."""
    return "\0" not in text and not any("\ud800" <= char <= "\udfff" for char in text)


@frozen(kw_only=True)
class Suite:
    """An ordered list of prompts with distinct ids."""

    name: str
    prompts: tuple[Prompt, ...] = field()

    @prompts.validator
    def _distinct(self, _: Attribute[tuple[Prompt, ...]], prompts: tuple[Prompt, ...]) -> None:
        if not self.name.isprintable() or len(self.name) > LONGEST_ID:
            raise SuiteError(f"{self.name[:LONGEST_ID]!r} is no name for a suite")
        if not prompts:
            raise SuiteError(f"suite {self.name} has no prompt")
        folded = Counter(prompt.id.casefold() for prompt in prompts)
        twice = [prompt.id for prompt in prompts if folded[prompt.id.casefold()] > 1]
        if twice:  # ids become file names, which some systems fold
            raise SuiteError(f"suite {self.name} has more than one prompt with id {twice[0]!r}")


def prompt_digest(prompts: Iterable[Prompt]) -> str:
    """SHA-256 over places, ids and texts."""
    content = json.dumps([[prompt.index, prompt.id, prompt.text] for prompt in prompts])
    return hashlib.sha256(content.encode()).hexdigest()


def find_suite(registry: Registry, name: str) -> Suite:
    """The suite that ``name`` stands for: a prompt file, or what is installed under that name.

    Raises:
        KvbenchError: there is neither, or its prompts cannot be used.
    """
    path = Path(name)
    is_file = path.suffix.lower() in READERS or path.is_file()
    return read_suite(path) if is_file else registry.suite(name)


def read_suite(path: Path) -> Suite:
    """The prompts in a file, named after it.

    ``.txt`` holds one prompt a line; blank lines and lines that start with ``#`` do not count.
    ``.csv`` has a header with a column ``prompt`` and may have a column ``id``; ``.jsonl`` holds
    one object a line with the same keys. Without ids, prompts are called ``p001``, ``p002``, ...

    Raises:
        SuiteError: the file is missing, not UTF-8, empty, or a prompt in it is unusable.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise SuiteError(f"{path} is no prompt file; it must end in {', '.join(READERS)}")
    try:
        rows = list(reader(_text(path)))
        prompts = tuple(
            Prompt(id=name or f"p{index + 1:03d}", index=index, text=text)
            for index, (name, text) in enumerate(rows)
        )
        return Suite(name=path.stem, prompts=prompts)
    except KvbenchError as error:
        raise SuiteError(f"{path}: {error}") from error


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > LARGEST_FILE_BYTES:
            raise SuiteError(f"larger than {LARGEST_FILE_BYTES >> 20} MiB, so no list of prompts")
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise SuiteError(f"line {line} is not UTF-8; save the file as UTF-8") from error
    except OSError as error:
        raise SuiteError(f"cannot be read: {error.strerror or error}") from error


Row = tuple[str | None, str]


def _plain(text: str) -> Iterator[Row]:
    for line in text.split("\n"):
        if line.strip() and not line.startswith("#"):
            yield None, line.strip()


def _csv(text: str) -> Iterator[Row]:
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        if "prompt" not in (reader.fieldnames or ()):
            raise SuiteError("the first line must name a column 'prompt'")
        for row in reader:
            yield _row(row, f"line {reader.line_num}")
    except csv.Error as error:
        raise SuiteError(f"line {reader.line_num}: {error}") from error


def _jsonl(text: str) -> Iterator[Row]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise SuiteError(f"line {number} is no JSON: {error}") from error
        if not isinstance(row, dict):
            raise SuiteError(f"line {number} is no JSON object such as {{'prompt': '...'}}")
        yield _row(row, f"line {number}")


def _row(row: dict[str, object], where: str) -> Row:
    name, text = row.get("id"), row.get("prompt")
    if not isinstance(text, str) or not text.strip():
        raise SuiteError(f"{where} has no 'prompt'")
    if name is not None and not isinstance(name, str | int):
        raise SuiteError(f"{where}: 'id' must be a text; got {name!r}")
    return None if name is None or name == "" else str(name), text.strip()


READERS: dict[str, Callable[[str], Iterator[Row]]] = {
    ".txt": _plain,
    ".csv": _csv,
    ".jsonl": _jsonl,
}
