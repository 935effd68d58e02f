"""Continuing a video: which frames are taken, how they are encoded, what follows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from attrs import evolve

from kvbench_core.errors import BackendError
from kvbench_core.registry import build_registry
from kvbench_core.run.video import write_video
from kvbench_core.session import CacheSession
from kvbench_selfforcing_wan.full import vae
from kvbench_selfforcing_wan.full.backend import FullBackend
from kvbench_selfforcing_wan.full.beginning import read_beginning
from kvbench_selfforcing_wan.tiny.backend import TinyBackend

pytest.importorskip("diffusers", reason="needs the extra wan")
from wan_files import CPU, PRESET, random_vae


def write(path: Path, frames: int, height: int = 32, width: int = 48) -> np.ndarray:
    random = np.random.default_rng(0)
    coarse = random.integers(0, 255, (frames, height // 8, width // 8, 3), dtype=np.uint8)
    video = coarse.repeat(8, axis=1).repeat(8, axis=2)
    write_video([video], 16, path)
    return video


def test_the_last_frames_that_fill_chunks_are_taken(tmp_path: Path) -> None:
    """A window of 6 leaves 3 latent frames, 9 frames, for the beginning; one of 21 leaves 18."""
    video = write(tmp_path / "x.mp4", 30)
    narrow = read_beginning(tmp_path / "x.mp4", PRESET.config, (48, 32))
    assert np.array_equal(narrow.numpy(), video[-9:])
    wide = read_beginning(tmp_path / "x.mp4", evolve(PRESET.config, window_frames=21), (48, 32))
    assert np.array_equal(wide.numpy(), video[-21:])


@pytest.mark.parametrize(
    ("frames", "width", "message"),
    [(8, 48, "has 8 frames; this generator continues from at least 9"), (9, 64, "is 64x32 and")],
)
def test_what_cannot_be_continued_is_refused(
    tmp_path: Path, frames: int, width: int, message: str
) -> None:
    write(tmp_path / "x.mp4", frames, width=width)
    with pytest.raises(BackendError, match=message):
        read_beginning(tmp_path / "x.mp4", PRESET.config, (48, 32))


def test_what_is_no_video_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.mp4").write_text("no video")
    for path in (tmp_path / "x.mp4", tmp_path / "none.mp4"):
        with pytest.raises(BackendError, match="cannot read"):
            read_beginning(path, PRESET.config, (48, 32))
    with pytest.raises(BackendError, match="cannot continue"):
        TinyBackend().configured(continue_from=tmp_path / "x.mp4")


def test_encoding_is_the_librarys_normalised(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(vae.VAE_CONFIG, "base_dim", 8)
    model = random_vae()
    frames = torch.from_numpy(write(tmp_path / "x.mp4", 9))
    latents = vae.WanVAE(model).encode(frames)
    video = frames.permute(3, 0, 1, 2)[None] / 255.0 * 2 - 1
    with torch.no_grad():
        mu = model.encode(video).latent_dist.mode()[0]
    mean, std = (
        torch.tensor(values)[:, None, None, None]
        for values in (model.config.latents_mean, model.config.latents_std)
    )
    assert latents.shape == (3, 16, 4, 6)
    torch.testing.assert_close(latents, ((mu - mean) / std).transpose(0, 1), atol=1e-5, rtol=1e-4)


def test_a_rollout_continues_the_beginning(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(vae.VAE_CONFIG, "base_dim", 8)
    write(tmp_path / "x.mp4", 12)
    plain = FullBackend("small", PRESET).configured(weights="synthetic")
    backend = FullBackend("small", PRESET).configured(
        weights="synthetic", continue_from=tmp_path / "x.mp4"
    )
    with pytest.raises(BackendError, match="beginning alone has 3 latent frames"):
        backend.check_frames(3)
    backend.check_frames(6)
    results = []
    for made in (plain, backend):
        generator = made.load(CPU)
        generator.prepare(["a red ball"])
        session = CacheSession(build_registry().policy("BF16"), made.geometry())
        results.append(generator.generate("a red ball", 0, 9, session, lambda _: None))
    encoded = generator._vae.encode(backend.beginning)  # type: ignore[attr-defined]
    assert torch.equal(results[1][:3], encoded)
    assert not torch.equal(results[1][3:6], results[0][:3])
    assert torch.cat(list(generator.decode(results[1]))).shape == (33, 32, 48, 3)
