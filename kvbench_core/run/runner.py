"""Making the cells of a plan, alone or beside other processes on the same directory."""

from __future__ import annotations

import time
import traceback
from functools import partial
from uuid import uuid4

from attrs import define, evolve, field, frozen

from kvbench_core.errors import StoreError, storable
from kvbench_core.registry import Registry
from kvbench_core.run.environment import environment
from kvbench_core.run.listener import Listener, reason, title
from kvbench_core.run.maker import Maker
from kvbench_core.run.plan import Plan
from kvbench_core.run.records import CellKey, CellRecord, Manifest, Session, Status, now
from kvbench_core.run.serial import with_whole_file
from kvbench_core.run.store import FOREVER, MANIFEST, RunStore
from kvbench_core.run.video import StoredVideo, write_preview
from kvbench_core.suite import prompt_digest

POLL_S = 0.2


@frozen
class Outcome:
    """How many of the plan's cells exist, and how many could not be made."""

    ok: int
    failed: int


def run_plan(
    plan: Plan,
    store: RunStore,
    registry: Registry,
    listener: Listener,
    *,
    given: dict[str, str],
) -> Outcome:
    """Make every cell that does not exist; cells that failed earlier are tried once more.

    ``given`` is the request in the user's own words.

    Raises:
        StoreError: the directory holds another run or cannot be written to.
        BackendError: the generator cannot be loaded.
    """
    if not (store.root / MANIFEST).exists():  # a run that is complete needs no generator
        plan.backend.require_weights()
    session = Session(
        id=uuid4().hex,
        started=now(),
        given=given,
        environment=environment(registry, plan.request.device),
    )
    store.begin(
        Manifest(
            request=plan.request,
            methods=list(plan.methods),
            prompts=list(plan.prompts),
            prompt_digest=prompt_digest(plan.prompts),
            sessions=[session],
        )
    )
    maker = Maker(plan, store, listener, session)
    status: Status = "failed"
    error = None
    try:
        outcome = Sharing(plan, store, listener, maker).run()
        status = "failed" if outcome.failed else "complete"
    except KeyboardInterrupt:
        status = "interrupted"
        raise
    except Exception:
        error = storable(traceback.format_exc())
        raise
    finally:
        store.end_session(evolve(maker.session, finished=now(), error=error), status)
    return outcome


def write_previews(plan: Plan, store: RunStore) -> None:
    """Make the browser copies that are missing; after the run, so that they cost no cell time."""
    for cell in plan.cells:
        path = store.preview_path(cell.id)
        with store.claim(cell.id, FOREVER):
            record = store.cell(cell.id)
            if record is not None and record.video is not None and not path.exists():
                about = record.video
                video = StoredVideo(store.video_path(cell.id), about.frames, about.fps)
                with_whole_file(path, partial(write_preview, video))


@define
class Sharing:
    """Goes through the cells, leaving to other processes what they have begun."""

    plan: Plan
    store: RunStore
    listener: Listener
    maker: Maker
    _old_failures: dict[str, str] = field(init=False, factory=dict)

    def run(self) -> Outcome:
        """Return when every cell has ended, here or elsewhere."""
        ended = {cell.id: "ok" for cell in self._look_around()}
        chunks = self.plan.request.frames // self.plan.backend.geometry().chunk_frames
        self.listener.plan(len(self.plan.cells), len(ended), chunks)
        while pending := [cell for cell in self.plan.cells if cell.id not in ended]:
            before = len(ended)
            for cell in pending:
                record = self._made_elsewhere(cell) or self._made_here(cell)
                if record is not None:
                    ended[cell.id] = record.status
            if len(ended) == before:  # another process is at what is left
                time.sleep(POLL_S)
        failed = sum(status == "failed" for status in ended.values())
        return Outcome(len(ended) - failed, failed)

    def _look_around(self) -> list[CellKey]:
        """Cells that exist; remembers those that failed, and says what is damaged."""
        finished = []
        for cell in self.plan.cells:
            try:
                record = self.store.cell(cell.id)
            except StoreError as error:
                self.listener.note(f"{error}; the cell is made again")
                continue
            if record is not None and record.status == "failed":
                self._old_failures[cell.id] = record.finished
            elif record is not None and self._has_video(record):
                finished.append(cell)
        return finished

    def _has_video(self, record: CellRecord) -> bool:
        path = self.store.video_path(record.cell.id)
        try:
            return record.video is not None and path.stat().st_size == record.video.bytes
        except OSError:
            return False

    def _ended(self, cell: CellKey) -> CellRecord | None:
        """The cell's record, unless it is damaged or of a failure before this run."""
        try:
            record = self.store.cell(cell.id)
        except StoreError:
            return None
        if record is None or self._old_failures.get(cell.id) == record.finished:
            return None
        return record if record.status == "failed" or self._has_video(record) else None

    def _made_elsewhere(self, cell: CellKey) -> CellRecord | None:
        record = self._ended(cell)
        if record is not None:
            self.listener.finish(title(cell), f"{_result(record)} (by another process)")
        return record

    def _made_here(self, cell: CellKey) -> CellRecord | None:
        """The cell's new record, or ``None`` if another process is at it."""
        with self.store.claim(cell.id) as ours:
            if not ours or self._ended(cell) is not None:  # it may have ended since we looked
                return None
            record = self.maker.make(cell)
        self.listener.finish(title(cell), _result(record))
        return record


def _result(record: CellRecord) -> str:
    if record.error is not None:
        return f"FAILED: {reason(record.error)}"
    return f"{record.figures.wall_s:.1f} s" if record.figures else record.status
