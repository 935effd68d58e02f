"""A video, and random weights in files of the right names: they test the path and are no score."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from attrs import evolve

from kvbench_core.conformance.clips import Clip
from kvbench_core.registry import build_registry
from kvbench_vbench.weights import FOLDER_VARIABLE

HUBCONF = """
import torch

def dino_vitb16(pretrained=True, path=None, read_frame=False):
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 16, 16), torch.nn.Flatten())
    if pretrained:
        model.load_state_dict(torch.load(path))
    return model
"""


@pytest.fixture(scope="session")
def video():
    """A square that moves over noise, 3 frames of 64 x 96."""
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 90, (3, 64, 96, 3), dtype=np.uint8)
    for index, frame in enumerate(frames):
        frame[16:40, 8 * index : 8 * index + 24] = (220, 60, 40)
    return Clip(tuple(frames), fps=8.0)


@pytest.fixture(autouse=True)
def logging_is_left_alone():
    before = list(logging.getLogger().handlers)
    yield
    assert logging.getLogger().handlers == before


def dino(hubconf: Path, state: Path) -> None:
    hubconf.write_text(HUBCONF)
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 16, 16), torch.nn.Flatten())
    torch.save(network.state_dict(), state)


def musiq(path: Path) -> None:
    from pyiqa.archs.musiq_arch import MUSIQ

    torch.save(MUSIQ(pretrained=False).state_dict(), path)


def clip(path: Path, predictor: Path | None = None) -> None:
    """A small CLIP as TorchScript, the only kind of file that its loader takes."""
    from clip.model import CLIP

    network = CLIP(768, 224, 2, 64, 32, 77, 49408, 64, 1, 1).eval()
    example = (torch.zeros(1, 3, 224, 224), torch.zeros(1, 77, dtype=torch.int64))
    torch.jit.trace(network, example, check_trace=False).save(str(path))
    if predictor:
        torch.save(torch.nn.Linear(768, 1).state_dict(), predictor)


def amt(path: Path) -> None:
    import vbench
    from omegaconf import OmegaConf
    from vbench.third_party.amt.utils.build_utils import build_from_cfg

    config = Path(vbench.__file__).parent / "third_party" / "amt" / "cfgs" / "AMT-S.yaml"
    network = build_from_cfg(OmegaConf.load(config).network)
    torch.save({"state_dict": network.state_dict()}, path)


def raft(path: Path) -> None:
    from easydict import EasyDict
    from vbench.third_party.RAFT.core.raft import RAFT

    options = EasyDict(small=False, mixed_precision=False, alternate_corr=False)
    torch.save(RAFT(options).state_dict(), path)


WRITERS = {
    "imaging_quality": musiq,
    "aesthetic_quality": clip,
    "subject_consistency": dino,
    "background_consistency": clip,
    "temporal_flickering": lambda: None,
    "motion_smoothness": amt,
    "dynamic_degree": raft,
}


@pytest.fixture(scope="session")
def random_weights(request, tmp_path_factory):
    """A dimension's name, from an indirect parameter, and a folder like VBench's with its files."""
    home = tmp_path_factory.mktemp(request.param)
    files = [home / item.path for item in type(build_registry().metric(request.param)).weights]
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        WRITERS[request.param](*files)
    return request.param, home


@pytest.fixture
def dimension(random_weights, monkeypatch):
    """A dimension that expects the digests of the random files; the package looks there too."""
    import vbench.utils

    name, home = random_weights
    monkeypatch.setenv(FOLDER_VARIABLE, str(home))
    monkeypatch.setattr(vbench.utils, "CACHE_DIR", str(home))
    metric = build_registry().metric(name)
    metric.weights = tuple(
        evolve(item, sha256=hashlib.sha256((home / item.path).read_bytes()).hexdigest())
        for item in metric.weights
    )
    return metric
