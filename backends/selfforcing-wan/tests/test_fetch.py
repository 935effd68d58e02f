"""Downloads: what is asked of the Hub's client, digests, and what a user reads when it fails."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from kvbench_core.cli import main
from kvbench_core.errors import BackendError
from kvbench_selfforcing_wan.full.backend import FullBackend, wan_1_3b
from kvbench_selfforcing_wan.full.fetch import verify
from kvbench_selfforcing_wan.presets import PRESETS

hub = pytest.importorskip("huggingface_hub", reason="needs the extra wan")
CONTENT = b"weights"
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def online(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A Hub whose every file has the same content."""
    asked: list[str] = []

    def download(repo: str, path: str, local_dir: Path | None) -> str:
        assert local_dir is not None
        asked.append(f"{repo}/{path}")
        target = local_dir / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(CONTENT)
        return str(target)

    monkeypatch.setattr(hub, "hf_hub_download", download)
    monkeypatch.setattr(hub, "get_hf_file_metadata", lambda _: SimpleNamespace(etag=DIGEST))
    return asked


def test_fetching_into_a_folder_makes_it_usable(online: list[str], tmp_path: Path) -> None:
    said: list[str] = []
    wan_1_3b().fetch_weights(tmp_path, said.append)
    assert online[0] == "gdhe17/Self-Forcing/checkpoints/self_forcing_dmd.pt"
    assert len(online) == len(PRESETS["wan-1.3b"].files) == 7
    assert "CC BY-NC-SA 4.0" in said[0]
    assert any("not the file that this preset was written for" in line for line in said)
    files = wan_1_3b().configured(weights=str(tmp_path)).weight_files()
    assert all(file.path is not None for file in files)


def test_another_digest_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    path.write_bytes(CONTENT)
    verify(path, DIGEST)
    verify(path, "a-git-hash-of-a-small-file")
    with pytest.raises(BackendError, match=r"x.pt has SHA-256 .*fetch it again"):
        verify(path, "0" * 64)


def test_offline_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def offline(*_: object, **__: object) -> str:
        raise hub.errors.LocalEntryNotFoundError("cannot\nfind the file on the Hub")

    monkeypatch.setattr(hub, "hf_hub_download", offline)
    result = CliRunner().invoke(main, ["weights", "fetch", "longlive", "--to", str(tmp_path)])
    assert result.exit_code == 2
    assert "cannot download Efficient-Large-Model/LongLive-1.3B models/longlive_base.pt" in (
        result.output
    )
    assert "is this machine online?" in result.output


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_disk_that_takes_no_more_is_not_the_networks_fault(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, number: int
) -> None:
    def full(*_: object, **__: object) -> str:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(hub, "hf_hub_download", full)
    result = CliRunner().invoke(main, ["weights", "fetch", "wan-1.3b", "--to", str(tmp_path)])
    assert result.exit_code == 2
    assert f"{os.strerror(number)}; choose another folder with --to" in result.output
    assert "online" not in result.output


def test_what_is_built_in_cannot_be_fetched() -> None:
    result = CliRunner().invoke(main, ["weights", "fetch", "tiny"])
    assert result.exit_code == 2
    assert "nothing to fetch" in result.output


def test_the_list_says_what_is_here(tmp_path: Path) -> None:
    (tmp_path / "Wan2.1_VAE.pth").touch()
    arguments = ["weights", "list", "wan-1.3b", "--weights", str(tmp_path)]
    text = CliRunner().invoke(main, arguments, catch_exceptions=False).output
    assert f"+ Wan2.1_VAE.pth (0.5 GB): {tmp_path / 'Wan2.1_VAE.pth'}" in text
    assert "- checkpoints/self_forcing_dmd.pt (5.7 GB): missing; from gdhe17/Self-Forcing" in text
    rows = json.loads(CliRunner().invoke(main, [*arguments, "--json"]).output)["wan-1.3b"]
    assert [bool(row["path"]) for row in rows] == [False] * 6 + [True]


def test_the_variable_names_a_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "self_forcing_dmd.pt").touch()
    monkeypatch.setenv("KVBENCH_WEIGHTS", str(tmp_path))
    found = [file.path for file in wan_1_3b().weight_files() if file.path]
    assert found == [tmp_path / "self_forcing_dmd.pt"]
    monkeypatch.setenv("KVBENCH_WEIGHTS", str(tmp_path / "gone"))
    with pytest.raises(BackendError, match=r"gone; \$KVBENCH_WEIGHTS is a folder"):
        wan_1_3b().weight_files()


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_consistent(name: str) -> None:
    backend = FullBackend(name, PRESETS[name])
    backend.check_frames(backend.default_frames)
    schedule = backend.config.schedule(0)
    assert schedule.timesteps[0] == pytest.approx(1000)
    assert list(schedule.timesteps) == sorted(schedule.timesteps, reverse=True)
    assert backend.config.sink_frames <= backend.config.chunk_frames


def test_the_schedules_of_siblings() -> None:
    causvid = PRESETS["causvid"].config.schedule(0)
    assert causvid.timesteps == (1000, 757, 522)
    assert causvid.sigmas == pytest.approx((1, 0.756757, 0.521739), abs=1e-5)
    two = PRESETS["causal-forcing-2step"].config
    assert two.schedule(0).timesteps == pytest.approx((1000, 937.5, 833.3333, 625))
    assert two.schedule(1).timesteps == pytest.approx((1000, 833.3333))


def test_listing_weights_does_not_import_torch() -> None:
    code = (
        "import sys; from kvbench_core.cli import main; "
        "main(['weights', 'list'], standalone_mode=False); sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
