"""LPIPS against the ``lpips`` package called directly, and what happens without weights."""

from __future__ import annotations

import socket

import lpips
import numpy as np
import pytest
import torch
from click.testing import CliRunner

from kvbench_core.cli import main
from kvbench_core.errors import KvbenchError, MetricUnavailableError
from kvbench_core.registry import build_registry
from kvbench_lpips.metric import Lpips
from kvbench_lpips.trunk import FOLDER_VARIABLE


def clip(seed, frames=3, height=64, width=96):
    """Smooth random frames, ``[height, width, 3]`` uint8."""
    coarse = np.random.default_rng(seed).random((frames, height // 8, width // 8, 3))
    return [(255 * frame.repeat(8, 0).repeat(8, 1)).astype(np.uint8) for frame in coarse]


@pytest.fixture
def offline(monkeypatch):
    """Any attempt to reach a network fails the test."""

    def refuse(*_):
        raise AssertionError("a network connection was attempted")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def test_equal_to_the_package(random_lpips, offline):
    video, reference = clip(1), clip(2)
    scores = random_lpips.score(video, reference, "")
    net = lpips.LPIPS(net=random_lpips.trunk.net, verbose=False)  # reads torch.hub's cache
    with torch.no_grad():
        expected = [
            net(lpips.im2tensor(other), lpips.im2tensor(frame)).item()
            for frame, other in zip(video, reference, strict=True)
        ]
    name = random_lpips.name
    assert scores.per_frame[name] == pytest.approx(expected, rel=1e-5)
    assert scores.values[name] == pytest.approx(np.mean(expected), rel=1e-5)
    assert scores.values[name] > 0
    assert random_lpips.score(reference, reference, "").values[name] == 0


def test_the_smallest_frames(random_lpips):
    side = random_lpips.trunk.min_side
    smallest, smaller = ([frame[:height] for frame in clip(1)] for height in (side, side - 1))
    assert random_lpips.score(smallest, smallest, "").values[random_lpips.name] == 0
    message = f"{random_lpips.name}: frames must be at least {side} x {side} pixels"
    with pytest.raises(KvbenchError, match=message):
        random_lpips.score(smaller, smaller, "")


def test_a_given_folder_goes_before_the_cache(random_lpips, monkeypatch, tmp_path):
    path = random_lpips.trunk.find()
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(MetricUnavailableError, match=str(tmp_path)):
        random_lpips.check_available()
    monkeypatch.setenv(FOLDER_VARIABLE, str(path.parent))
    random_lpips.check_available()


def test_random_weights_are_refused_by_the_registered_metric(checkpoint, torch_home, offline):
    base, path = checkpoint
    with pytest.raises(MetricUnavailableError, match="not torchvision's") as caught:
        base().check_available()
    assert str(path) in str(caught.value)


def test_missing_weights_name_file_place_size_and_source(monkeypatch, tmp_path, offline):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(MetricUnavailableError) as caught:
        Lpips().check_available()
    place = tmp_path / "hub" / "checkpoints" / "alexnet-owt-7be5be79.pth"
    for part in (str(place), "233.1 MB", "https://download.pytorch.org/models/", FOLDER_VARIABLE):
        assert part in str(caught.value)


def test_conformance_says_why_it_checked_nothing(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    result = CliRunner().invoke(main, ["conformance", "lpips"])
    assert "cannot be used here: LPIPS needs torchvision's weights" in result.output


@pytest.mark.parametrize("name", ["lpips", "lpips_vgg", "lpips_squeeze"])
def test_registered_and_described(name):
    metric = build_registry().metric(name)
    assert [column.name for column in metric.columns] == [metric.name] == [name]
    assert metric.settings()["net"] == metric.trunk.net
    assert metric.trunk.sha256 in metric.trunk.file
