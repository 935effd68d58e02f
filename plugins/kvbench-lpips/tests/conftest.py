"""Random weights in a file of the right name: they test the path and are no score."""

from __future__ import annotations

import hashlib

import pytest
import torch
import torchvision.models
from attrs import evolve

from kvbench_lpips.metric import Lpips, LpipsSqueeze, LpipsVgg

NETWORKS = {
    "alex": (Lpips, torchvision.models.alexnet),
    "squeeze": (LpipsSqueeze, torchvision.models.squeezenet1_1),
    "vgg": (LpipsVgg, torchvision.models.vgg16),
}


@pytest.fixture(
    scope="session", params=["alex", "squeeze", pytest.param("vgg", marks=pytest.mark.slow)]
)
def checkpoint(request, tmp_path_factory):
    """A network's metric and torchvision's file for it, in a cache of torch.hub's layout."""
    base, factory = NETWORKS[request.param]
    path = tmp_path_factory.mktemp("torch-home") / "hub" / "checkpoints" / base.trunk.file
    path.parent.mkdir(parents=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        torch.save(factory().state_dict(), path)
    yield base, path
    path.unlink()


@pytest.fixture
def torch_home(checkpoint, monkeypatch):
    """torch.hub's folder, with the file."""
    home = checkpoint[1].parents[2]
    monkeypatch.setenv("TORCH_HOME", str(home))
    return home


@pytest.fixture
def random_lpips(checkpoint, torch_home):
    """The metric, expecting the digest of the file that was written."""
    base, path = checkpoint
    digest = hashlib.sha256(path.read_bytes()).hexdigest()

    class RandomWeights(base):
        trunk = evolve(base.trunk, sha256=digest)

    return RandomWeights()
