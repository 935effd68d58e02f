"""Videos: every bit comes back, and a damaged file is an error."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kvbench_core.errors import StoreError
from kvbench_core.run.video import StoredVideo, write_preview, write_video


def noise(frames: int = 5, height: int = 18, width: int = 34) -> np.ndarray:
    random = np.random.default_rng(0)
    return random.integers(0, 256, (frames, height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize(("height", "width"), [(16, 16), (18, 34), (15, 17), (128, 128)])
def test_noise_comes_back_bit_by_bit(tmp_path: Path, height: int, width: int):
    frames, path = noise(5, height, width), tmp_path / "v.mp4"
    assert write_video([frames[:2], frames[2:]], 8.0, path) == (5, height, width)
    video = StoredVideo(path, 5, 8.0)
    assert len(video) == 5
    assert video.fps == 8.0
    for _ in range(2):
        assert np.array_equal(np.stack(list(video)), frames)


def test_the_same_frames_make_the_same_file(tmp_path: Path):
    for name in ("a.mp4", "b.mp4"):
        write_video([noise()], 16.0, tmp_path / name)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


def test_a_preview_is_close_and_even(tmp_path: Path):
    ramp = np.broadcast_to(np.arange(33, dtype=np.uint8)[:, None, None] * 7, (4, 33, 35, 3))
    write_video([ramp], 8.0, tmp_path / "v.mp4")
    write_preview(StoredVideo(tmp_path / "v.mp4", 4, 8.0), tmp_path / "p.mp4")
    preview = np.stack(list(StoredVideo(tmp_path / "p.mp4", 4, 8.0)))
    assert preview.shape == (4, 32, 34, 3)
    assert np.abs(preview.astype(int) - ramp[:, :32, :34]).mean() < 8


def test_a_truncated_file_is_an_error(tmp_path: Path):
    path = tmp_path / "v.mp4"
    write_video([noise()], 8.0, path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(StoreError, match=r"cannot read .*v\.mp4"):
        list(StoredVideo(path, 5, 8.0))


def test_garbage_in_the_middle_is_an_error_or_noticed(tmp_path: Path):
    path = tmp_path / "v.mp4"
    write_video([noise(9, 64, 64)], 8.0, path)
    content = bytearray(path.read_bytes())
    content[2000:12000] = bytes(10000)
    path.write_bytes(content)
    with pytest.raises(StoreError, match=r"v\.mp4"):
        list(StoredVideo(path, 9, 8.0))


def test_a_missing_file_and_a_wrong_length_are_errors(tmp_path: Path):
    with pytest.raises(StoreError, match="No such file"):
        list(StoredVideo(tmp_path / "none.mp4", 5, 8.0))
    write_video([noise()], 8.0, tmp_path / "v.mp4")
    with pytest.raises(StoreError, match="has 5 frames; 6 were recorded"):
        list(StoredVideo(tmp_path / "v.mp4", 6, 8.0))


def test_frames_of_two_sizes_or_none_at_all(tmp_path: Path):
    with pytest.raises(StoreError, match="frame 5 is uint8"):
        write_video([noise(), noise(1, 20, 20)], 8.0, tmp_path / "v.mp4")
    with pytest.raises(StoreError, match="decoded no frame"):
        write_video([], 8.0, tmp_path / "w.mp4")
    with pytest.raises(StoreError, match="frame 0 is float64"):
        write_video([noise().astype(float)], 8.0, tmp_path / "x.mp4")
