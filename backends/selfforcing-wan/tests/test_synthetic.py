"""Random weights at full geometry: sane activations, the same every time, nothing trained."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
import torch
from attrs import evolve
from click.testing import CliRunner
from torch import Tensor

from kvbench_core.backend import Generator
from kvbench_core.cli import main
from kvbench_core.errors import BackendError
from kvbench_core.registry import build_registry
from kvbench_core.session import CacheSession
from kvbench_selfforcing_wan.config import WAN_1_3B
from kvbench_selfforcing_wan.full.backend import wan_1_3b
from kvbench_selfforcing_wan.full.generator import synthetic

CPU = torch.device("cpu")
DEEP = evolve(
    WAN_1_3B,
    width=96,
    ffn_width=560,
    heads=3,
    text_width=32,
    text_length=8,
    latent_size=(4, 4),
)
"""All 30 layers of the large model, a sixteenth of its width, 4 tokens per latent frame."""


@pytest.fixture(scope="module")
def generator() -> Generator:
    return synthetic(DEEP, CPU)


def make(
    generator: Generator, frames: int, on_chunk: Callable[[Tensor], None] = lambda _: None
) -> Tensor:
    session = CacheSession(build_registry().policy("BF16"), DEEP.geometry())
    return generator.generate("a red ball rolls", 3, frames, session, on_chunk)


def test_a_long_rollout_stays_finite_and_of_unit_scale(generator: Generator) -> None:
    scales: list[float] = []
    latents = make(generator, 126, lambda x: scales.append(float(x.float().square().mean() ** 0.5)))
    assert torch.isfinite(latents).all()
    assert len(scales) == 42
    assert 0.5 < min(scales) <= max(scales) < 2


def test_equal_generators_make_equal_latents(generator: Generator) -> None:
    assert torch.equal(make(generator, 6), make(synthetic(DEEP, CPU), 6))


def test_history_has_influence(generator: Generator) -> None:
    """What a cache does can be seen: its first group of 16 tokens is full after two chunks."""
    latents = make(generator, 9)
    session = CacheSession(build_registry().policy("rtn(bits=2)"), DEEP.geometry())
    coarse = generator.generate("a red ball rolls", 3, 9, session, lambda _: None)
    assert torch.equal(coarse[:6], latents[:6])
    assert not torch.equal(coarse[6:], latents[6:])


def test_full_size_weights_are_called_synthetic() -> None:
    backend = wan_1_3b().configured(weights="synthetic")
    assert backend.weights == "synthetic"
    assert wan_1_3b().weights != "synthetic"


def test_a_resolution_sets_the_tokens_per_frame() -> None:
    backend = wan_1_3b().configured(resolution=(640, 384))
    assert backend.geometry().grid == (24, 40)
    assert backend.resolution == (640, 384)
    assert backend.resident_bytes(21)["latents"] < wan_1_3b().resident_bytes(21)["latents"]


def test_an_impossible_resolution_is_refused_with_the_nearest() -> None:
    with pytest.raises(BackendError, match="nearest size is 848x480"):
        wan_1_3b().configured(resolution=(850, 480))


def test_the_budget_follows_the_resolution() -> None:
    stored = {}
    for size in ("832x480", "416x240"):
        arguments = ["budget", "BF16", "--frames", "21", "--resolution", size, "--json"]
        result = CliRunner().invoke(main, arguments, catch_exceptions=False)
        (row,) = json.loads(result.output)["methods"]
        stored[size] = row["stored_bytes"]
    assert stored["832x480"] == 6_038_323_200
    assert stored["832x480"] == 4 * stored["416x240"]
