"""Damaged videos and prompt files, through the command line: one error each, the rest finished."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from toy_runs import plan, run

from kvbench_core.registry import build_registry
from kvbench_core.run.store import file_sha256
from kvbench_core.run.video import write_video


@pytest.fixture(scope="module")
def made(toy_site: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("made") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(toy_site))
        run(plan(build_registry(), "TOY"), build_registry(), root)
    return root


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "run"))


def video_of(root: Path, method: str) -> Path:
    (path,) = root.glob(f"videos/{method}*.mp4")
    return path


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


def as_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def another(frames: int, size: int) -> Callable[[Path], object]:
    noise = np.random.default_rng(0).integers(0, 256, (frames, size, size, 3), dtype=np.uint8)
    return lambda path: write_video([noise], 8.0, path)


def believe(root: Path, video: Path, **about: Any) -> None:
    """Make the record say that the video always was as it is now."""
    path = root / "cells" / f"{video.stem}.json"
    record = json.loads(path.read_text())
    record["video"] |= {"sha256": file_sha256(video), "bytes": video.stat().st_size} | about
    path.write_text(json.dumps(record))


def scores(root: Path) -> dict[str, dict[str, Any]]:
    return {
        f"{path.stem} of {path.parent.name.split('--')[0]}": json.loads(path.read_text())
        for path in root.glob("scores/*/*.json")
    }


COARSE, OTHER = "coarse-step-0-25-", "coarse-step-0-25-recent"
GOOD = {"light of bf16", f"light of {OTHER}-blocks-2", f"psnr of {OTHER}-blocks-2"}


def check(cli: Any, root: Path, message: str) -> None:
    """Both scores of COARSE fail with the message, those of the other methods are there."""
    result = cli("evaluate", root, "--metrics", "light,psnr")
    assert result.exit_code == 1
    assert "Traceback" not in result.output
    found = scores(root)
    assert {name for name, score in found.items() if score["status"] == "ok"} == GOOD
    bad = {name: score["error"] for name, score in found.items() if score["status"] == "failed"}
    assert set(bad) == {"light of coarse-step-0-25", "psnr of coarse-step-0-25"}
    assert all(message in error["message"] for error in bad.values()), bad
    assert message in result.output


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (truncate, "is not the video that was recorded; delete it and run again"),
        (flip, "is not the video that was recorded"),
        (Path.unlink, "is missing; `kvbench run` with the same --out makes it again"),
        (as_folder, "is missing"),
        (lambda path: path.write_bytes(b""), "is not the video that was recorded"),
        (another(5, 16), "is not the video that was recorded"),
    ],
)
def test_a_video_that_is_not_what_it_was(cli, root: Path, harm, message: str):
    harm(video_of(root, f"{COARSE}-"))
    check(cli, root, message)


@pytest.mark.parametrize(
    ("harm", "about", "message"),
    [
        (truncate, {}, "cannot read"),
        (lambda path: path.write_bytes(b""), {"bytes": 1}, "cannot read"),
        (lambda path: path.write_bytes(b"no video" * 99), {}, "cannot read"),
        (another(5, 16), {}, "has 5 frames; 8 were recorded"),
    ],
)
def test_a_record_that_vouches_for_a_damaged_video(cli, root: Path, harm, about, message: str):
    """A run directory may come from anywhere, so a digest alone proves nothing."""
    video = video_of(root, f"{COARSE}-")
    harm(video)
    believe(root, video, **about)
    check(cli, root, message)


@pytest.mark.parametrize(
    ("frames", "size", "message"),
    [
        (5, 16, "the video has 5 frames and the BF16 video 8; both must have the same number"),
        (8, 32, "frame 0 is 32 x 32 and the BF16 video's is 16 x 16; both must have the same size"),
    ],
)
def test_a_sound_video_of_another_length_or_size(cli, root: Path, frames, size, message: str):
    video = video_of(root, f"{COARSE}-")
    another(frames, size)(video)
    believe(root, video, frames=frames, width=size, height=size)
    result = cli("evaluate", root, "--metrics", "light,psnr")
    assert (result.exit_code, message in result.output) == (1, True)
    found = scores(root)
    bad = {name for name, score in found.items() if score["status"] == "failed"}
    assert bad == {"psnr of coarse-step-0-25"}
    assert len(found) == 5


def test_a_damaged_reference_costs_comparisons_only(cli, root: Path):
    truncate(video_of(root, "bf16"))
    result = cli("evaluate", root, "--metrics", "light,psnr")
    assert result.exit_code == 1
    found = scores(root)
    bad = {name: score for name, score in found.items() if score["status"] == "failed"}
    assert set(bad) == {
        "light of bf16",
        "psnr of coarse-step-0-25",
        "psnr of " + OTHER + "-blocks-2",
    }
    assert all("bf16" in score["error"]["message"] for score in bad.values())
    assert len(found) == 5


def test_an_absent_reference_is_no_failure(cli, root: Path):
    (path,) = root.glob("cells/bf16*.json")
    path.unlink()
    result = cli("evaluate", root, "--metrics", "light,psnr")
    assert result.exit_code == 0
    found = scores(root)
    assert {name: score["notes"].get("reason") for name, score in found.items()} == {
        "light of coarse-step-0-25": None,
        "psnr of coarse-step-0-25": "neither BF16 nor BF16_WINDOW made this video",
        f"light of {OTHER}-blocks-2": None,
        f"psnr of {OTHER}-blocks-2": "neither BF16 nor BF16_WINDOW made this video",
    }
    assert "neither BF16 nor BF16_WINDOW made this video" in result.output


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("s.txt", None, "cannot be read: No such file"),
        ("s.txt", "folder", "cannot be read: Is a directory"),
        ("s.txt", b"", "suite s has no prompt"),
        ("s.txt", b"# nothing\n\n", "suite s has no prompt"),
        ("s.txt", b"\xff\xfea\0", "line 1 is not UTF-8; save the file as UTF-8"),
        ("s.txt", b"a cat\nb\xe9b\xe9\n", "line 2 is not UTF-8"),
        ("s.txt", b"a\0cat\n", "prompt p001: text must be 1 to 20000 characters of valid text"),
        ("s.csv", b"id,prompt\nx,a\nx,b\n", "more than one prompt with id 'x'"),
        ("s.csv", b"id,prompt\nX,a\nx,b\n", "more than one prompt with id 'X'"),
        ("s.csv", b"\xef\xbb\xbfid,prompt\n", "suite s has no prompt"),
        ("s.csv", b"id;prompt\nx;a\n", "must name a column 'prompt'"),
        ("s.jsonl", b'{"prompt": "a"}\n{"prompt": ', "line 2 is no JSON"),
    ],
)
def test_useless_prompt_files(cli, tmp_path: Path, name: str, content, message: str):
    path = tmp_path / name
    if content == "folder":
        path.mkdir()
    elif content is not None:
        path.write_bytes(content)
    out = tmp_path / "run"
    result = cli("run", "--backend", "toy", "-m", "COARSE", "--suite", path, "--out", out)
    assert (result.exit_code, message in result.output, str(path) in result.output) == (
        2,
        True,
        True,
    )
    assert "Traceback" not in result.output
    assert not out.exists()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("own.txt", "\ufeffa cat\n# comment\n\n  a dog\r\n"),
        ("own.csv", '\ufeffid,title,prompt\n,"My cat",a cat\n,,a dog\n'),
        ("own.jsonl", '\ufeff{"prompt": "a cat"}\r\n\n{"prompt": "a dog", "title": "x"}\n'),
    ],
)
def test_a_suite_of_ones_own_in_each_format(cli, tmp_path: Path, name: str, content: str):
    path, out = tmp_path / name, tmp_path / "run"
    path.write_bytes(content.encode())
    asked = ("--suite", path, "--prompts", "2", "--seed", "5", "--no-evaluate", "--out", out)
    assert cli("run", "--backend", "toy", "-m", "COARSE", *asked).exit_code == 0
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["request"]["suite"] == "own"
    assert [(p["id"], p["text"]) for p in manifest["prompts"]] == [
        ("p001", "a cat"),
        ("p002", "a dog"),
    ]
    cells = [json.loads(file.read_text())["cell"] for file in out.glob("cells/*.json")]
    assert {(cell["prompt"], cell["seed"]) for cell in cells} == {("p001", 5), ("p002", 6)}
