"""From a folder of files to videos, on small random weights in the published layouts."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
import torch

from kvbench_core.errors import BackendError
from kvbench_core.registry import build_registry
from kvbench_core.session import CacheSession
from kvbench_selfforcing_wan.full import text, vae
from kvbench_selfforcing_wan.full.backend import FullBackend
from kvbench_selfforcing_wan.full.load import encoder_opener, load
from kvbench_selfforcing_wan.full.shelf import Shelf
from kvbench_selfforcing_wan.full.vae import to_uint8
from kvbench_selfforcing_wan.presets import TEXT_ENCODER, VAE

pytest.importorskip("diffusers", reason="needs the extra wan")
pytest.importorskip("transformers", reason="needs the extra wan")
from wan_files import CPU, PRESET, UMT5, random_encoder, random_vae, write_all

PROMPT = "a  red ball &amp; a red ball"


@pytest.fixture(scope="module", autouse=True)
def small_library_models() -> object:
    """The same code on small encoders: their full-size configurations are tables."""
    with pytest.MonkeyPatch.context() as patch:
        for key, value in UMT5.items():
            patch.setitem(text.UMT5_XXL, key, value)
        patch.setitem(vae.VAE_CONFIG, "base_dim", 8)
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights")
    write_all(path)
    return path


@pytest.fixture
def backend(folder: Path) -> FullBackend:
    return FullBackend("small", PRESET).configured(weights=str(folder))


def test_a_folder_of_files_makes_a_video(backend: FullBackend) -> None:
    generator = backend.load(CPU)
    generator.prepare([PROMPT, PROMPT])
    session = CacheSession(build_registry().policy("BF16"), backend.geometry())
    latents = generator.generate(PROMPT, 0, 6, session, lambda _: None)
    assert latents.shape == (6, 16, 4, 6)
    assert latents.dtype == torch.bfloat16
    video = torch.cat(list(generator.decode(latents)))
    assert video.shape == (backend.video_frames(6), 32, 48, 3)
    model = random_vae().bfloat16()
    mean = torch.tensor(model.config.latents_mean).bfloat16()[:, None, None, None]
    scale = (1 / torch.tensor(model.config.latents_std)).bfloat16()[:, None, None, None]
    with torch.no_grad():
        expected = model.decode((latents.transpose(0, 1) / scale + mean)[None]).sample[0]
    assert torch.equal(video, to_uint8(expected))


def test_features_are_the_librarys_with_padding_and_mask(folder: Path) -> None:
    """Un-padded, they equal what the published pipeline computes at full length."""
    from transformers import AutoTokenizer

    opener = encoder_opener(Shelf((folder,), use_cache=False), CPU)
    opened: list[None] = []

    def counting() -> tuple[object, object]:
        opened.append(None)
        tokenizer, encoder = opener()
        return tokenizer, encoder.float()

    features = text.EncodedText(PRESET.config, counting)
    features.prepare([PROMPT, "a ball"])
    mine = features(PROMPT)
    assert len(opened) == 1
    tokenizer = AutoTokenizer.from_pretrained(folder / "google" / "umt5-xxl")
    ids = tokenizer("a red ball & a red ball", padding="max_length", max_length=12,
                    return_tensors="pt")  # fmt: skip
    with torch.no_grad():
        encoder = random_encoder().float()
        states = encoder(ids.input_ids, attention_mask=ids.attention_mask).last_hidden_state
    length = int(ids.attention_mask.sum())
    assert length == 8
    expected = states * ids.attention_mask[..., None]
    torch.testing.assert_close(mine, expected, atol=2e-6, rtol=1e-5)
    assert float(mine[0, length - 1].abs().sum()) > 0
    assert mine[0, length:].abs().sum() == 0


def test_long_prompts_are_cut(backend: FullBackend) -> None:
    generator = backend.load(CPU)
    session = CacheSession(build_registry().policy("BF16"), backend.geometry())
    assert torch.isfinite(generator.generate("ball " * 40, 0, 3, session, lambda _: None)).all()


@pytest.mark.parametrize("name", [PRESET.checkpoint.path, TEXT_ENCODER.path, VAE.path])
def test_each_damaged_file_is_named_before_the_device_is_touched(
    folder: Path, tmp_path: Path, name: str
) -> None:
    """The device is one that would fail at the first tensor."""
    shutil.copytree(folder, tmp_path / "w")
    damaged = tmp_path / "w" / name
    damaged.write_bytes(damaged.read_bytes()[:-1000])
    shelf = Shelf((tmp_path / "w",), use_cache=False)
    with pytest.raises(BackendError, match="damaged") as caught:
        load("small", PRESET, PRESET.config, shelf, torch.device("xla"))
    assert str(damaged) in str(caught.value)


def test_a_damaged_tokenizer_is_named(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "w")
    (tmp_path / "w" / "google" / "umt5-xxl" / "tokenizer.json").write_text("{")
    backend = FullBackend("small", PRESET).configured(weights=str(tmp_path / "w"))
    with pytest.raises(BackendError, match="umt5-xxl cannot be loaded as a tokenizer"):
        backend.load(CPU)


def test_what_is_missing_is_listed_with_the_remedy(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "w")
    (tmp_path / "w" / VAE.path).unlink()
    shutil.rmtree(tmp_path / "w" / "google")
    backend = FullBackend("small", PRESET).configured(weights=str(tmp_path / "w"))
    with pytest.raises(BackendError, match="kvbench weights fetch small") as caught:
        backend.load(CPU)
    message = str(caught.value)
    assert "Wan2.1_VAE.pth (0.5 GB)" in message
    assert "the tokenizer" in message
    assert "umt5-xxl-enc" not in message
    assert str(tmp_path / "w") in message
    (finding, *_) = backend.diagnose()
    assert not finding.ok
    assert "Wan2.1_VAE.pth (0.5 GB)" in finding.detail


def test_models_in_the_librarys_format_are_used(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "w")
    (tmp_path / "w" / VAE.path).unlink()
    (tmp_path / "w" / TEXT_ENCODER.path).unlink()
    random_vae().save_pretrained(tmp_path / "w" / "vae")
    random_encoder().save_pretrained(tmp_path / "w" / "text_encoder")
    latents = []
    for place in (folder, tmp_path / "w"):
        backend = FullBackend("small", PRESET).configured(weights=str(place))
        generator = backend.load(CPU)
        session = CacheSession(build_registry().policy("BF16"), backend.geometry())
        latents.append(generator.generate(PROMPT, 0, 3, session, lambda _: None))
        video = torch.cat(list(generator.decode(latents[-1])))
    assert torch.equal(*latents)
    assert video.shape == (9, 32, 48, 3)


def test_a_folder_that_does_not_exist_is_said(tmp_path: Path) -> None:
    with pytest.raises(BackendError, match=r"no folder of weights .*no; --weights is auto"):
        FullBackend("small", PRESET).configured(weights=str(tmp_path / "no"))


def test_a_missing_library_is_said(backend: FullBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(BackendError, match=r"needs diffusers .*selfforcing-wan\[wan\]"):
        backend.load(CPU)
