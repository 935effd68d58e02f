"""The run directory: strict, whole or absent, and suspicious of what it reads."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from kvbench_core.errors import StoreError
from kvbench_core.run.records import (
    CellError,
    CellKey,
    CellRecord,
    Environment,
    Manifest,
    Method,
    Request,
    ScoreRecord,
    Session,
)
from kvbench_core.run.serial import CONVERTER, NewerFormatError, read_record, write_record
from kvbench_core.run.store import RunStore
from kvbench_core.suite import Prompt, prompt_digest

HERE = Environment(
    python="3.11", platform="Linux", device="cpu", threads=1, packages={"torch": "2"}, git=None
)
PROMPT = Prompt(id="ball", index=0, text="a red ball")
METHOD = Method(label="BF16", expression="bf16()", integration="streaming")
CELL = CellKey(id="bf16--ball--0", method=METHOD, prompt="ball", seed=0, frames=8)


def session(name: str = "s1") -> Session:
    return Session(id=name, started="now", given={"prompts": "1"}, environment=HERE)


def manifest(*prompts: Prompt, **request: Any) -> Manifest:
    chosen = list(prompts or [PROMPT])
    settings = {"backend": "toy", "suite": "s", "frames": 8, "seed": 0, "device": "cpu"} | request
    return Manifest(
        request=Request(**settings),
        methods=[METHOD],
        prompts=chosen,
        prompt_digest=prompt_digest(chosen),
        sessions=[session()],
    )


def failure() -> CellRecord:
    return CellRecord(
        cell=CELL,
        status="failed",
        started="now",
        finished="later",
        session="s1",
        kernel="reference",
        environment=HERE,
        error=CellError.of(ValueError("no\n\x1b[31mway\ud800")),
    )


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    made = RunStore(tmp_path / "run")
    made.begin(manifest())
    return made


def damage(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_records_come_back_as_they_went(store: RunStore):
    store.put_cell(failure())
    assert store.cell(CELL.id) == failure()
    assert store.manifest() == manifest()
    assert store.cells(manifest()) == ([failure()], [])


def test_a_request_may_add_methods_prompts_and_sessions(store: RunStore):
    second = Prompt(id="cube", index=1, text="a blue cube")
    method = evolve(METHOD, label="X", expression="rtn(bits=4)")
    again = evolve(manifest(second), methods=[evolve(METHOD, label="bf16()"), method])
    store.begin(evolve(again, sessions=[session("s2")]))
    merged = store.manifest()
    assert merged.methods == [METHOD, method]
    assert merged.prompts == [PROMPT, second]
    assert merged.prompt_digest == prompt_digest([PROMPT, second])
    assert [one.id for one in merged.sessions] == ["s1", "s2"]


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (manifest(backend="wan"), "its backend is toy, not wan; choose another --out"),
        (manifest(frames=4), "its frames is 8, not 4"),
        (manifest(seed=1), "its seed is 0, not 1"),
        (manifest(suite="t"), "its suite is s, not t"),
        (manifest(device="cuda (H200)"), r"its device is cpu, not cuda \(H200\)"),
        (manifest(evolve(PROMPT, text="a ball")), "the text of prompt ball has changed"),
        (manifest(evolve(PROMPT, index=2)), "ball was number 0 of its suite and is now 2"),
    ],
)
def test_another_run_is_refused_by_its_difference(store: RunStore, other: Manifest, message: str):
    with pytest.raises(StoreError, match=message):
        store.begin(other)
    assert store.manifest() == manifest()


def test_a_folder_with_other_things_is_left_alone(tmp_path: Path):
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(StoreError, match="is not empty and holds no run"):
        RunStore(tmp_path).begin(manifest())
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_file_is_no_run_directory(tmp_path: Path):
    path = tmp_path / "file"
    path.write_text("")
    with pytest.raises(StoreError, match="cannot create"):
        RunStore(path).begin(manifest())
    with pytest.raises(StoreError, match=r"is no run directory: it has no manifest\.json"):
        RunStore.open(path)


def test_a_truncated_cell_is_reported_and_the_others_stay(store: RunStore):
    store.put_cell(failure())
    other = evolve(failure(), cell=evolve(CELL, id="other"))
    store.put_cell(other)
    path = store.root / "cells" / f"{CELL.id}.json"
    path.write_text(path.read_text()[:100])
    found, problems = store.cells(store.manifest())
    assert found == [other]
    assert len(problems) == 1
    assert str(path) in problems[0]
    assert "damaged" in problems[0]


def test_a_later_format_is_refused_not_overwritten(store: RunStore):
    store.put_cell(failure())
    damage(store.root / "cells" / f"{CELL.id}.json", format_version=3, new_field=1)
    with pytest.raises(NewerFormatError, match="format version 3, and this kvbench reads up to 2"):
        store.cells(store.manifest())
    damage(store.root / "manifest.json", format_version=99)
    with pytest.raises(NewerFormatError, match="upgrade kvbench-core"):
        RunStore.open(store.root)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"status": "fine"}, "fine not in literal"),
        ({"cell": "../../etc/passwd"}, "damaged"),
        ({"finished": 5}, "expected str, got 5"),
        ({"finished": "x" * 3000}, "must be one printable line"),
        ({"kernel": "\x1b]0;title\x07"}, "must be one printable line"),
        ({"surprise": 1}, "Extra fields"),
        ({"format_version": None}, "states no format version"),
        ({"format_version": True}, "states no format version"),
        ({"format_version": -1}, "states no format version"),
        ({"environment": []}, "damaged"),
        ({"environment": {}}, "is missing"),
        ({"figures": {"wall_s": 1}}, "is missing"),
    ],
)
def test_a_strange_record_is_a_sentence(store: RunStore, changes: dict[str, Any], message: str):
    store.put_cell(failure())
    damage(store.root / "cells" / f"{CELL.id}.json", **changes)
    with pytest.raises(StoreError, match=message) as caught:
        store.cell(CELL.id)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize("value", ["../x", "a/b", ".hidden", "", "a" * 300, "a\x00b", 7, None])
def test_ids_cannot_leave_the_directory(store: RunStore, value: object):
    store.put_cell(failure())
    path = store.root / "cells" / f"{CELL.id}.json"
    data = json.loads(path.read_text())
    data["cell"]["id"] = value
    path.write_text(json.dumps(data))
    with pytest.raises(StoreError, match="damaged"):
        store.cell(CELL.id)


def test_a_record_under_another_name_is_damaged(store: RunStore):
    write_record(store.root / "cells" / "stolen.json", failure())
    with pytest.raises(StoreError, match="it describes bf16--ball--0"):
        store.cell("stolen")


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff\xfe", b"[1]", b"null", b'{"format_version": NaN}', b"[" * 100_000,
     b'{"format_version": 1' + b"0" * 10_000 + b"}"],
)  # fmt: skip
def test_bytes_that_are_no_record(tmp_path: Path, content: bytes):
    path = tmp_path / "x.json"
    path.write_bytes(content)
    with pytest.raises(StoreError, match=r"x\.json (is damaged|has format version)"):
        read_record(path, CellRecord)


def test_numbers_must_be_finite_and_fit(tmp_path: Path):
    path = tmp_path / "x.json"
    write_record(path, manifest())
    text = path.read_text()
    for bad in ("1e999", str(2**63), "8.0", '"8"', "true"):
        path.write_text(text.replace('"frames": 8', f'"frames": {bad}'))
        with pytest.raises(StoreError, match=r"frames|damaged"):
            read_record(path, Manifest)


def test_what_is_no_file_is_not_read(tmp_path: Path):
    (tmp_path / "folder.json").mkdir()
    os.mkfifo(tmp_path / "pipe.json")
    for name in ("folder.json", "pipe.json"):
        with pytest.raises(StoreError, match="it is no plain file"):
            read_record(tmp_path / name, Manifest)
    with (tmp_path / "huge.json").open("wb") as file:
        file.truncate(2**30)
    with pytest.raises(StoreError, match="too much for a record"):
        read_record(tmp_path / "huge.json", Manifest)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)


@settings(max_examples=150)
@given(st.data(), JSON)
def test_any_replacement_reads_back_or_is_a_store_error(tmp_path_factory, data, value):
    tree = CONVERTER.unstructure(manifest())
    place = tree
    while True:
        key = data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else [0]))
        inner = place[key]
        if not (isinstance(inner, dict | list) and inner) or data.draw(st.booleans()):
            break
        place = inner
    place[key] = value
    path = tmp_path_factory.mktemp("r") / "x.json"
    path.write_text(json.dumps(tree))
    try:
        read = read_record(path, Manifest)
    except (StoreError, NewerFormatError):
        return
    assert CONVERTER.structure(CONVERTER.unstructure(read), Manifest) == read


def test_a_full_disk_is_said_and_leaves_the_old_file(store: RunStore, monkeypatch):
    store.put_cell(failure())

    def full(self: Path, *_: object, **__: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(StoreError, match=r"cannot write .*: No space left on device"):
        store.put_cell(evolve(failure(), kernel="flash"))
    monkeypatch.undo()
    assert store.cell(CELL.id) == failure()
    assert [path.name for path in (store.root / "cells").iterdir()] == [f"{CELL.id}.json"]


def test_a_lock_is_held_by_one(store: RunStore):
    with store.claim("x") as first, store.claim("x") as second:
        assert (first, second) == (True, False)
    with store.claim("x") as again:
        assert again


def test_a_foreign_cell_is_reported_and_left_out(store: RunStore):
    foreign = evolve(CELL, id="foreign", method=evolve(METHOD, expression="rtn()"))
    store.put_cell(evolve(failure(), cell=foreign))
    found, problems = store.cells(store.manifest())
    assert not found
    assert "the manifest does not know its method or prompt" in problems[0]


def test_a_score_of_another_cell_is_damaged(store: RunStore):
    score = ScoreRecord(
        cell=CELL.id, metric="light", metric_version="1", settings={"a": True, "b": 1.5},
        video_sha256="0" * 64, reference_sha256=None, status="ok", columns=[],
        values={"light": None}, per_frame={}, notes={}, score_s=0.0, finished="now",
        environment=HERE,
    )  # fmt: skip
    store.put_score(score)
    assert store.scores(CELL.id) == ([score], [])
    damage(store.score_path(CELL.id, "light"), cell="other")
    found, problems = store.scores(CELL.id)
    assert not found
    assert "it is another's" in problems[0]
