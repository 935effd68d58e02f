"""Single frames of stored videos, from the route that the player asks."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import pytest
from PIL import Image
from starlette.requests import Request
from starlette.responses import Response
from synthetic_runs import VIDEO_FRAMES, frames_of, labels, write_run

from kvbench_core.errors import StoreError
from kvbench_core.run.store import RunStore
from kvbench_dashboard import clips as clips_module
from kvbench_dashboard.clips import Clips
from kvbench_dashboard.frames import frame_route
from kvbench_dashboard.opened import VARIABLE, remember


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> RunStore:
    return write_run(tmp_path_factory.mktemp("runs") / "mine", labels(3), 2, failing=("RTN_02",))


@pytest.fixture(autouse=True)
def _opened(store: RunStore, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(VARIABLE, "[]")
    remember([store.root])


def cell_of(store: RunStore, label: str) -> str:
    """The method's cell of the first prompt."""
    cells = [record.cell for record in store.cells(store.manifest())[0]]
    return next(cell.id for cell in cells if (cell.method.label, cell.prompt) == (label, "p000"))


def ask(folder: Path, cell: str, frame: int, kind: str = "png", run: int = 0) -> Response:
    route = frame_route(Clips(Path(mkdtemp(dir=folder))))
    parts = {"run": run, "cell": cell, "frame": frame, "kind": kind}
    request = Request({"type": "http", "path_params": parts, "headers": []})
    answer: Response = route.endpoint(request)
    return answer


def picture(answer: Response) -> np.ndarray:
    assert answer.status_code == 200, answer.body
    return np.asarray(Image.open(BytesIO(answer.body)))


@pytest.mark.parametrize("index", [0, VIDEO_FRAMES - 1])
def test_a_png_has_the_exact_pixels(store: RunStore, tmp_path: Path, index: int):
    for label in ("BF16", "RTN_01"):
        found = picture(ask(tmp_path, cell_of(store, label), index))
        np.testing.assert_array_equal(found, frames_of(label, 0)[index])


def test_a_jpeg_is_near(store: RunStore, tmp_path: Path):
    found = picture(ask(tmp_path, cell_of(store, "BF16"), 2, "jpg")).astype(int)
    assert np.abs(found - frames_of("BF16", 0)[2]).mean() < 3


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"frame": VIDEO_FRAMES}, "the video has 12 frames"),
        ({"cell": "nothing"}, "cell nothing has no video"),
        ({"cell": ".."}, "has no video"),
        ({"kind": "gif"}, "no such frame"),
        ({"run": 1}, "no such frame"),
    ],
)
def test_what_is_not_there_is_said(store: RunStore, tmp_path: Path, change: dict, why: str):
    asked = {"cell": cell_of(store, "BF16"), "frame": 0} | change
    answer = ask(tmp_path, **asked)
    assert answer.status_code == 404
    assert why in answer.body.decode()


def test_a_failed_cell_has_no_video(store: RunStore, tmp_path: Path):
    assert ask(tmp_path, cell_of(store, "RTN_02"), 0).status_code == 404


def test_a_damaged_video_is_said_and_read_again_when_repaired(tmp_path: Path):
    store = write_run(tmp_path / "mine", ["BF16"], 1)
    remember([store.root])
    cell = cell_of(store, "BF16")
    path = store.video_path(cell)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    clips = Clips(tmp_path)
    with pytest.raises(StoreError, match="cannot read"):
        clips.get(store, cell).frame(VIDEO_FRAMES - 1)
    path.write_bytes(whole)
    np.testing.assert_array_equal(
        clips.get(store, cell).frame(VIDEO_FRAMES - 1), frames_of("BF16", 0)[-1]
    )


def test_a_video_of_another_size_than_recorded_is_refused(tmp_path: Path):
    store = write_run(tmp_path / "mine", ["BF16"], 1)
    path = store.root / "cells" / f"{cell_of(store, 'BF16')}.json"
    path.write_text(path.read_text().replace('"width": 48', '"width": 64'))
    with pytest.raises(StoreError, match="not what its record says"):
        Clips(tmp_path).get(store, path.stem).frame(0)


def test_the_oldest_clip_makes_room(
    store: RunStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    records = store.cells(store.manifest())[0]
    first, second, *_ = [record.cell.id for record in records if record.video]
    clips = Clips(tmp_path)
    size = clips.get(store, first).size_bytes
    monkeypatch.setattr(clips_module, "LIMIT_BYTES", size)
    clips.get(store, second).frame(VIDEO_FRAMES - 1)
    assert [path.name for path in tmp_path.glob("*.rgb")] == ["2.rgb"]
    clips.get(store, first).frame(0)
    monkeypatch.setattr(clips_module, "LIMIT_BYTES", size - 1)
    with pytest.raises(StoreError, match="too long"):
        clips.get(store, second)
