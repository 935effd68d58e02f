"""What a run directory holds, field by field; ``docs/run-directory.md`` explains each.

Files come from anywhere, so each text has a length and no control characters, each number is within
reason, and ids are safe as file names. Adding, removing or renaming a field changes
:data:`FORMAT_VERSION`.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Literal

from attrs import Attribute, field, frozen
from attrs.validators import (
    and_,
    deep_iterable,
    deep_mapping,
    ge,
    gt,
    le,
    matches_re,
    max_len,
    min_len,
    optional,
)

from kvbench_core.backend import SYNTHETIC
from kvbench_core.drift import Curve
from kvbench_core.errors import storable
from kvbench_core.suite import Prompt

FORMAT_VERSION = 2

Validator = Callable[[Any, "Attribute[Any]", Any], None]

SAFE_NAME: Validator = matches_re(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
DIGEST = matches_re(r"[0-9a-f]{64}")
LONGEST_LINE = 2000
TEXT: Validator = max_len(1_000_000)


def _line(_: object, attribute: Attribute[str], value: str) -> None:
    if len(value) > LONGEST_LINE or not value.isprintable():
        raise ValueError(f"{attribute.name} must be one printable line")


def _named(_: object, attribute: Attribute[dict[str, Any]], value: dict[str, Any]) -> None:
    for name in value:
        if len(name) > LONGEST_LINE or not name.isprintable():
            raise ValueError(f"each name in {attribute.name} must be one printable line")


LINE: Validator = _line
NAMED: Validator = _named
COUNTS = deep_iterable(ge(0))
EACH_CHUNK: Validator = and_(COUNTS, min_len(1))
FRAMES: Validator = and_(ge(1), le(1_000_000))
SIDE: Validator = and_(ge(1), le(65_536))


def now() -> str:
    """The time as the records state it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


Status = Literal["running", "complete", "failed", "interrupted"]
DecodeMode = Literal["end", "streaming"]
"""Decode a video when its cache has been released, or each chunk while the cache lives."""
SYSTEMS_ONLY = "synthetic weights: systems figures only, quality columns are blank"


@frozen(kw_only=True)
class GitState:
    """The checkout that the core was imported from."""

    commit: str = field(validator=LINE)
    dirty: bool


@frozen(kw_only=True)
class Environment:
    """Where something was computed."""

    python: str = field(validator=LINE)
    platform: str = field(validator=LINE)
    device: str = field(validator=LINE)
    threads: int
    packages: dict[str, str] = field(validator=deep_mapping(LINE, LINE))
    git: GitState | None


@frozen(kw_only=True)
class Request:
    """What every cell of a run directory has in common.

    ``kernel`` and ``cache_dtype`` are known once the generator has been loaded. ``weights`` are
    ``synthetic`` if they are random, and then nothing can be said about quality.
    """

    backend: str = field(validator=LINE)
    suite: str = field(validator=LINE)
    frames: int = field(validator=FRAMES)
    seed: int = field(validator=ge(0))
    device: str = field(validator=LINE)
    weights: str | None = field(default=None, validator=optional(LINE))
    resolution: str | None = field(default=None, validator=optional(LINE))
    continues: str | None = field(default=None, validator=optional(DIGEST))
    decode: DecodeMode = "end"
    kernel: str | None = field(default=None, validator=optional(LINE))
    cache_dtype: str | None = field(default=None, validator=optional(LINE))

    @property
    def systems_only(self) -> bool:
        """Whether only memory, time and size mean anything."""
        return self.weights == SYNTHETIC

    @property
    def generator(self) -> str:
        """The backend as tables name it, marked where its figures say nothing about quality."""
        return f"{self.backend} (synthetic weights)" if self.systems_only else self.backend


@frozen(kw_only=True)
class Method:
    """A cache method attached in one way. ``label`` is how it was asked for."""

    label: str = field(validator=LINE)
    expression: str = field(validator=LINE)
    integration: str = field(validator=LINE)

    @property
    def key(self) -> tuple[str, str]:
        """What makes two methods the same, however they were asked for."""
        return self.expression, self.integration

    @property
    def is_reference(self) -> bool:
        """Whether this is the uncompressed cache that others are compared with."""
        return self.expression == "bf16()"


@frozen(kw_only=True)
class CellKey:
    """One video to make: a method on a prompt, with its seed."""

    id: str = field(validator=SAFE_NAME)
    method: Method
    prompt: str = field(validator=LINE)
    seed: int = field(validator=ge(0))
    frames: int = field(validator=FRAMES)

    @property
    def pairing(self) -> tuple[str, int, int]:
        """What a cell has in common with the reference that it is compared with."""
        return self.prompt, self.seed, self.frames


@frozen(kw_only=True)
class Session:
    """One invocation of ``kvbench run`` on the directory."""

    id: str = field(validator=SAFE_NAME)
    started: str = field(validator=LINE)
    finished: str | None = field(default=None, validator=optional(LINE))
    status: Status = "running"
    error: str | None = field(default=None, validator=optional(TEXT))
    given: dict[str, str] = field(validator=NAMED)
    warmup_s: float | None = field(default=None, validator=optional(ge(0)))
    environment: Environment


@frozen(kw_only=True)
class Manifest:
    """What the directory is."""

    format_version: int = FORMAT_VERSION
    status: Status = "running"
    request: Request
    methods: list[Method]
    prompts: list[Prompt]
    prompt_digest: str = field(validator=DIGEST)
    sessions: list[Session]


@frozen(kw_only=True)
class CellError:
    """Why a cell has no result."""

    type: str = field(validator=LINE)
    message: str = field(validator=TEXT)
    traceback: str = field(validator=TEXT)

    @classmethod
    def of(cls, error: Exception) -> CellError:
        """An exception as it is recorded."""
        return cls(
            type=type(error).__name__,
            message=storable(str(error))[:10_000],
            traceback=storable("".join(traceback.format_exception(error)))[-100_000:],
        )


@frozen(kw_only=True)
class Peak:
    """Memory of one phase: at its start and at its highest, by the same counter."""

    before_bytes: int = field(validator=ge(0))
    peak_bytes: int = field(validator=ge(0))


@frozen(kw_only=True)
class VideoFile:
    """The lossless video of a cell."""

    sha256: str = field(validator=DIGEST)
    bytes: int = field(validator=ge(1))
    frames: int = field(validator=FRAMES)
    width: int = field(validator=SIDE)
    height: int = field(validator=SIDE)
    fps: float = field(validator=and_(gt(0), le(1000)))


@frozen(kw_only=True)
class Figures:
    """What was measured while one cell was made."""

    wall_s: float = field(validator=ge(0))
    chunk_s: list[float] = field(validator=EACH_CHUNK)
    encode_s: float = field(validator=ge(0))
    decode_s: float = field(validator=ge(0))
    video_s: float = field(validator=ge(0))
    kv_stored_bytes: list[int] = field(validator=EACH_CHUNK)
    kv_dense_bytes: list[int] = field(validator=EACH_CHUNK)
    memory_bytes: list[int] = field(factory=list, validator=COUNTS)
    compression_ratio: float | None = field(validator=optional(ge(0)))
    scratch_peak_bytes: int = field(validator=ge(0))
    generation: Peak
    decoding: Peak
    peak_counter: str = field(validator=LINE)
    skipped_passes: int = field(validator=ge(0))
    latents_sha256: str = field(validator=DIGEST)


@frozen(kw_only=True)
class CellRecord:
    """One finished cell: ``figures`` and ``video``, or ``error``."""

    format_version: int = FORMAT_VERSION
    cell: CellKey
    status: Literal["ok", "failed"]
    started: str = field(validator=LINE)
    finished: str = field(validator=LINE)
    session: str = field(validator=SAFE_NAME)
    kernel: str = field(validator=LINE)
    environment: Environment
    figures: Figures | None = None
    video: VideoFile | None = None
    error: CellError | None = None

    def __attrs_post_init__(self) -> None:
        made = self.figures is not None and self.video is not None
        if (self.status == "ok") != made or (self.status == "failed") != (self.error is not None):
            raise ValueError("a cell that is ok has figures and a video, a failed one an error")


@frozen(kw_only=True)
class ColumnRecord:
    """One figure of a metric, as the metric declares it."""

    name: str = field(validator=and_(LINE, max_len(200)))
    unit: str = field(validator=LINE)
    better: Literal["higher", "lower"]
    summary: str = field(validator=LINE)


@frozen(kw_only=True)
class ScoreRecord:
    """One metric's result for one cell, and everything that it depends on."""

    format_version: int = FORMAT_VERSION
    cell: str = field(validator=SAFE_NAME)
    metric: str = field(validator=SAFE_NAME)
    metric_version: str = field(validator=LINE)
    settings: dict[str, str | int | float | bool] = field(validator=NAMED)
    video_sha256: str = field(validator=DIGEST)
    reference_sha256: str | None = field(validator=optional(DIGEST))
    status: Literal["ok", "failed", "unavailable"]
    columns: list[ColumnRecord]
    values: dict[str, float | None] = field(validator=NAMED)
    per_frame: dict[str, list[float | None]] = field(validator=NAMED)
    drift: dict[str, Curve] = field(factory=dict, validator=NAMED)
    notes: dict[str, str | int] = field(validator=NAMED)
    error: CellError | None = None
    score_s: float = field(validator=ge(0))
    finished: str = field(validator=LINE)
    environment: Environment
