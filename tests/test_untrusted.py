"""Run directories that kvbench never wrote: each command answers, and says what is wrong where."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toy_runs import plan

from kvbench_core.registry import build_registry
from kvbench_core.run.evaluate import evaluate
from kvbench_core.run.runner import run_plan
from kvbench_core.run.store import RunStore, file_sha256

DEEP = "[" * 100_000 + "]" * 100_000


@pytest.fixture(scope="module")
def made(toy_site: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of three cells, scored."""
    from toy_runs import Notes

    store = RunStore(tmp_path_factory.mktemp("made") / "run")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(toy_site))
        registry = build_registry()
        run_plan(plan(registry, "TOY"), store, registry, Notes(), given={})
        evaluate(store, registry, ["light", "psnr"], Notes(), processes=1)
    return store.root


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "run"))


Place = tuple[str | int, ...]


def places(tree: Any, place: Place = ()) -> Iterator[Place]:
    """Every place in a record, the outermost first."""
    if place:
        yield place
    for name, inner in (
        tree.items()
        if isinstance(tree, dict)
        else enumerate(tree[:2] if isinstance(tree, list) else ())
    ):
        yield from places(inner, (*place, name))


def put(path: Path, place: Place, json_text: str) -> None:
    """Write any text, JSON or not, at a place of a record."""
    tree = inner = json.loads(path.read_text())
    for name in place[:-1]:
        inner = inner[name]
    inner[place[-1]] = "HERE"
    path.write_text(json.dumps(tree).replace('"HERE"', json_text))


def file(root: Path, kind: str) -> Path:
    """A record of the method COARSE, or the manifest."""
    return next(iter(sorted(root.glob({
        "cell": "cells/coarse-step-0-25--*", "score": "scores/coarse-step-0-25--*/psnr.json",
        "manifest": "manifest.json",
    }[kind]))))  # fmt: skip


def strict(text: str) -> Any:
    return json.loads(text, parse_constant=pytest.fail)


@pytest.mark.parametrize(
    ("kind", "place", "value", "message"),
    [
        ("cell", "cell.seed", str(2**63), "9223372036854775808 is not finite or too large"),
        ("cell", "figures.wall_s", "1" + "0" * 400, "0000 is not finite or too large"),
        ("cell", "figures.wall_s", "1e400", "the number inf is not finite"),
        ("cell", "figures.wall_s", "1e308", "the number 1e+308 is not finite or too large"),
        ("cell", "figures.wall_s", "NaN", "NaN is no JSON number"),
        ("cell", "figures.wall_s", "-1", "'wall_s' must be >= 0: -1"),
        ("cell", "figures.wall_s", "true", "expected float, got True"),
        ("cell", "figures.kv_stored_bytes", "[]", "Length of 'kv_stored_bytes' must be >= 1"),
        ("cell", "figures.kv_stored_bytes", '""', "expected a list, got ''"),
        ("cell", "figures.chunk_s", f'"{"a" * 10**6}"', "expected a list, got 'aaaa"),
        ("cell", "figures.chunk_s", f"[{'null,' * 10**6} 1]", "expected float, got None"),
        ("cell", "video.frames", str(2**62), "'frames' must be <= 1000000: 46116860184273"),
        ("cell", "video.width", str(2**62), "'width' must be <= 65536: 4611686018427387904"),
        ("cell", "video.fps", "0", "'fps' must be > 0: 0"),
        ("cell", "video", "null", "a cell that is ok has figures and a video"),
        ("cell", "status", '"failed"', "a failed one an error"),
        ("cell", "cell.id", '"../../bf16"', "'id' must match regex"),
        ("cell", "environment.packages", '{"torch": "\\ud800"}', "surrogates not allowed"),
        ("cell", "environment.packages", '{"\\u001b[31m": "2"}', "must be one printable line"),
        ("cell", "environment.packages", "[]", "expected names with values, got []"),
        ("score", "values", '{"\\u001b[31m": 1}', "each name in values must be one printable line"),
        ("score", "values.psnr", DEEP, "recursion"),
        ("score", "per_frame.psnr", "{}", "expected a list, got {}"),
        ("score", "drift.psnr.frames", "[0]", "frames must be growing lengths"),
        ("manifest", "prompts", '""', "expected a list, got ''"),
        ("manifest", "format_version", "1" + "0" * 400, "has format version 1000000"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_file(cli, root: Path, kind, place, value, message: str):
    path = file(root, kind)
    put(path, tuple(place.split(".")), value)
    result = cli("table", root)
    assert result.exit_code == (2 if kind == "manifest" else 0), result.output
    (line,) = (line for line in result.output.splitlines() if path.name in line)
    assert message in line
    assert len(line) < 700
    assert line.isprintable()


NASTY = st.sampled_from(
    ["0", "-1", "1.5", "5e-324", "1e-310", str(2**53 + 1), str(2**63 - 1), "1e18", "true", "null",
     '""', '"../x"', '"\\u0000"', '"\\ud800"', "[]", "{}", "[1e18, 1e18]", '{"": 0}']
)  # fmt: skip


@settings(max_examples=80, deadline=None)
@given(kind=st.sampled_from(["cell", "score", "manifest"]), value=NASTY, data=st.data())
def test_any_value_at_any_place_gives_a_table_or_a_sentence(
    toy_site, made, tmp_path_factory, kind, value, data
):
    from click.testing import CliRunner

    from kvbench_core.cli import main

    root = tmp_path_factory.mktemp("r") / "run"
    for folder in ("cells", "scores", "manifest.json"):
        copy = shutil.copytree if (made / folder).is_dir() else shutil.copy
        root.mkdir(exist_ok=True)
        copy(made / folder, root / folder)
    path = file(root, kind)
    place = data.draw(st.sampled_from(list(places(json.loads(path.read_text())))))
    put(path, place, value)
    result = CliRunner().invoke(main, ["table", str(root), "--format", "json"])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    if result.exit_code == 0:
        strict(result.stdout)
    else:
        assert result.stderr.startswith("Error: "), result.output


def test_a_time_that_no_clock_tells_gives_no_ratio(cli, root: Path):
    for path in root.glob("cells/bf16*"):
        put(path, ("figures", "wall_s"), "1e-310")
    rows = strict(cli("table", root, "--format", "json").stdout)["rows"]
    assert [row["runtime_ratio"] for row in rows] == [None] * 3


@pytest.mark.parametrize("name", [".cells.parquet.partial.parquet", ".psnr.json.partial.json"])
def test_nothing_is_written_through_a_link(cli, root: Path, tmp_path: Path, name: str):
    precious = tmp_path / "precious"
    precious.write_text("mine")
    folder = root if "cells" in name else file(root, "score").parent
    (folder / name).symlink_to(precious)
    file(root, "score").unlink()
    assert cli("evaluate", root, "--metrics", "psnr", "--jobs", "1").exit_code == 0
    assert precious.read_text() == "mine"
    assert file(root, "score").is_file()


def test_a_folder_where_a_file_is_to_be_made(cli, root: Path):
    (root / ".cells.parquet.partial.parquet").mkdir()
    result = cli("evaluate", root, "--metrics", "psnr", "--jobs", "1")
    assert result.exit_code == 2
    assert f"cannot write {root / 'cells.parquet'}: Is a directory" in result.output


def test_a_playlist_is_no_video(cli, root: Path):
    """A demuxer that follows what a file says would open any other file."""
    (bf16,) = root.glob("videos/bf16*")
    record = file(root, "cell")
    video = root / "videos" / f"{record.stem}.mp4"
    video.write_text(f"ffconcat version 1.0\nfile {bf16.name}\n")
    about = json.loads(record.read_text())["video"]
    put(record, ("video",), json.dumps(about | {"sha256": file_sha256(video)}))
    result = cli("evaluate", root, "--metrics", "psnr", "--jobs", "1")
    assert result.exit_code == 1
    assert f"cannot read {video}" in result.output.replace("\n", "")


def test_a_request_with_bytes_that_are_no_text_is_recorded(cli, tmp_path: Path):
    out = tmp_path / os.fsdecode(b"caf\xe9")
    asked = ("--backend", "toy", "-m", "COARSE", "--no-evaluate", "--json")
    result = cli("run", *asked, "--out", out)
    assert result.exit_code == 0, result.output
    assert RunStore.open(out).manifest().sessions[0].given["out"].endswith("/caf?")
