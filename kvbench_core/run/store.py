"""The run directory: one manifest, one record and one video for each cell, scores beside them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from attrs import evolve
from filelock import FileLock, Timeout

from kvbench_core.errors import StoreError
from kvbench_core.run.compatible import merged
from kvbench_core.run.records import CellRecord, Manifest, ScoreRecord, Session, Status
from kvbench_core.run.serial import read_record, write_record

MANIFEST = "manifest.json"
FOREVER = -1.0
ABSENT = (FileNotFoundError, NotADirectoryError)
FOLDERS = ("locks", "cells", "videos", "previews", "scores")  # the first marks a run directory


class RunStore:
    """A run directory. Several processes may use one at the same time.

    Whoever makes a cell holds its lock; the manifest and the table have one of their own. Locks
    belong to the operating system and vanish with the process that holds them.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    @classmethod
    def open(cls, root: Path) -> RunStore:
        """An existing run directory.

        Raises:
            KvbenchError: there is none, or a later kvbench wrote it.
        """
        store = cls(root)
        store.manifest()
        return store

    def begin(self, manifest: Manifest) -> None:
        """Create the directory, or extend an existing one by what ``manifest`` asks for.

        Raises:
            StoreError: the directory holds something else, or a run that differs.
        """
        try:
            occupied = self.root.is_dir() and any(self.root.iterdir())
            if occupied and not any((self.root / name).exists() for name in (MANIFEST, "locks")):
                raise StoreError(f"{self.root} is not empty and holds no run; choose another --out")
            for folder in FOLDERS:
                (self.root / folder).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"cannot create {self.root}: {error.strerror or error}") from error
        with self.claim("manifest", FOREVER):
            exists = (self.root / MANIFEST).exists()
            known = self.manifest() if exists else None
            whole = manifest if known is None else merged(self.root, known, manifest)
            write_record(self.root / MANIFEST, whole)

    def manifest(self) -> Manifest:
        """What the directory is.

        Raises:
            KvbenchError: there is no manifest, it is damaged, or a later kvbench wrote it.
        """
        try:
            return read_record(self.root / MANIFEST, Manifest)
        except ABSENT:
            raise StoreError(f"{self.root} is no run directory: it has no {MANIFEST}") from None

    def update(self, change: Callable[[Manifest], Manifest]) -> Manifest:
        """Change the manifest while no other process does; returns the new one."""
        with self.claim("manifest", FOREVER):
            changed = change(self.manifest())
            write_record(self.root / MANIFEST, changed)
        return changed

    def end_session(self, session: Session, status: Status) -> None:
        """Record how a session ended; the run's status is that of the session that ended last."""
        ended = evolve(session, status=status)
        self.update(
            lambda manifest: evolve(
                manifest,
                status=status,
                sessions=[ended if s.id == session.id else s for s in manifest.sessions],
            )
        )

    @contextmanager
    def claim(self, name: str, wait_s: float = 0) -> Iterator[bool]:
        """Hold the lock called ``name``, or yield ``False`` if another process holds it.

        Raises:
            StoreError: the directory cannot be written to.
        """
        lock = FileLock(self.root / "locks" / f"{name}.lock")
        try:
            lock.acquire(timeout=wait_s)
        except Timeout:
            yield False
            return
        except OSError as error:
            raise StoreError(f"cannot lock {self.root}: {error.strerror or error}") from error
        try:
            yield True
        finally:
            lock.release()

    def cell(self, cell_id: str) -> CellRecord | None:
        """A cell's record, or ``None`` if it has not been made.

        Raises:
            StoreError: the record is damaged; the cell counts as not made.
        """
        try:
            record = read_record(self.root / "cells" / f"{cell_id}.json", CellRecord)
        except ABSENT:
            return None
        if record.cell.id != cell_id:
            raise StoreError(f"cells/{cell_id}.json is damaged: it describes {record.cell.id}")
        return record

    def put_cell(self, record: CellRecord) -> None:
        """Store a record; the caller holds the cell's lock."""
        write_record(self.root / "cells" / f"{record.cell.id}.json", record)

    def cells(self, manifest: Manifest) -> tuple[list[CellRecord], list[str]]:
        """Every readable record of the run, and what is wrong with the others.

        Raises:
            NewerFormatError: a later kvbench wrote a record.
        """
        found: list[CellRecord] = []
        problems: list[str] = []
        methods = {method.key for method in manifest.methods}
        prompts = {prompt.id for prompt in manifest.prompts}
        for path in sorted((self.root / "cells").glob("[!.]*.json")):
            try:
                record = self.cell(path.stem)
            except StoreError as error:
                problems.append(str(error))
                continue
            if record and record.cell.method.key in methods and record.cell.prompt in prompts:
                found.append(record)
            elif record:
                problems.append(
                    f"{path} is left out: the manifest does not know its method or prompt"
                )
        return found, problems

    def score_path(self, cell_id: str, metric: str) -> Path:
        """Where one metric's result for one cell is."""
        return self.root / "scores" / cell_id / f"{metric}.json"

    def score(self, cell_id: str, metric: str) -> ScoreRecord | None:
        """One metric's result for one cell, or ``None``; a damaged one raises like a cell."""
        try:
            record = read_record(self.score_path(cell_id, metric), ScoreRecord)
        except ABSENT:
            return None
        if (record.cell, record.metric) != (cell_id, metric):
            raise StoreError(f"scores/{cell_id}/{metric}.json is damaged: it is another's")
        return record

    def put_score(self, record: ScoreRecord) -> None:
        """Store a metric's result; the caller holds the cell's score lock."""
        path = self.score_path(record.cell, record.metric)
        try:
            path.parent.mkdir(exist_ok=True)
        except OSError as error:
            raise StoreError(f"cannot create {path.parent}: {error.strerror or error}") from error
        write_record(path, record)

    def scores(self, cell_id: str) -> tuple[list[ScoreRecord], list[str]]:
        """Every readable result for one cell, and what is wrong with the others."""
        found: list[ScoreRecord] = []
        problems: list[str] = []
        for path in sorted((self.root / "scores" / cell_id).glob("[!.]*.json")):
            try:
                record = self.score(cell_id, path.stem)
            except StoreError as error:
                problems.append(str(error))
            else:
                found += [record] if record else []
        return found, problems

    def video_path(self, cell_id: str) -> Path:
        """A cell's lossless video."""
        return self.root / "videos" / f"{cell_id}.mp4"

    def preview_path(self, cell_id: str) -> Path:
        """The copy of a cell's video that every browser plays."""
        return self.root / "previews" / f"{cell_id}.mp4"


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
