"""The weights that ship: size, origin, and whether they do what they are shipped for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from sessions import DenseSession

from kvbench_core.conformance.spies import Forgetful
from kvbench_core.session import CacheSession
from kvbench_selfforcing_wan.config import TINY
from kvbench_selfforcing_wan.tiny import pixels
from kvbench_selfforcing_wan.tiny.judge import judge
from kvbench_selfforcing_wan.tiny.model import CHECKPOINT, TinyModel
from kvbench_selfforcing_wan.tiny.sampling import suite_scenes

CASES = (("tiny", 0), ("tiny", 4), ("tiny-story", 1))


@pytest.fixture(scope="module")
def model() -> Iterator[TinyModel]:
    """On one thread: a model this small loses more than it wins when cores are shared."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield TinyModel.load()
    torch.set_num_threads(threads)


def test_the_checkpoint_is_small() -> None:
    assert CHECKPOINT.stat().st_size < 15e6


def test_another_configuration_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_file({"x": torch.zeros(1)}, path, metadata={"config": "{}"})
    with pytest.raises(ValueError, match="another configuration"):
        TinyModel.load(path)


@pytest.mark.parametrize(("suite", "index"), CASES)
def test_held_out_prompts_come_out_as_told(model: TinyModel, suite: str, index: int) -> None:
    """42 latent frames, twice as long as the attention window."""
    scene = suite_scenes(suite)[index]
    latents = model.rollout(scene, index, 42).run(DenseSession(TINY))
    verdict = judge(pixels.to_uint8(pixels.decode(latents[0])), scene)
    assert verdict.object_ok
    assert verdict.motion_ok
    assert verdict.score_last_quarter >= 0.8 * verdict.score_first_quarter


def test_history_decides_the_picture(model: TinyModel) -> None:
    """A second chunk that cannot see the first one invents another place."""
    scene = suite_scenes("tiny")[0]
    seeing = model.rollout(scene, 0, 6).run(DenseSession(TINY))
    session = CacheSession(Forgetful(), TINY.geometry(), dtype=torch.float32)
    blind = model.rollout(scene, 0, 6).run(session)
    assert torch.equal(blind[:, :3], seeing[:, :3])
    assert (blind[:, 3:] - seeing[:, 3:]).square().mean() > 0.3
