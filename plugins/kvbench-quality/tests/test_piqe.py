"""PIQE against pyiqa called directly."""

from __future__ import annotations

import numpy as np
import pyiqa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kvbench_core.errors import KvbenchError
from kvbench_quality.piqe import Piqe, piqe


@pytest.fixture(scope="module")
def library():
    metric = pyiqa.create_metric("piqe", device=torch.device("cpu"))
    return lambda frame: metric(torch.from_numpy(frame).permute(2, 0, 1)[None] / 255).item()


def picture(seed, height, width, noise=0.0, blocks=1):
    """Smooth shapes with an even part, noise and blocking artefacts, uint8."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width] / 12
    phase = rng.uniform(0, 6, (2, 3))
    frame = 120 + 50 * np.sin(x[..., None] + phase[0]) + 50 * np.sin(y[..., None] * x[..., None])
    frame[: height // 3] = rng.uniform(0, 255, 3)
    if blocks > 1:
        frame = frame[::blocks, ::blocks].repeat(blocks, 0).repeat(blocks, 1)[:height, :width]
    return (frame + noise * rng.standard_normal(frame.shape)).clip(0, 255).astype(np.uint8)


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 999),
    height=st.integers(16, 150),
    width=st.integers(16, 150),
    noise=st.sampled_from([0.0, 5.0, 30.0]),
    blocks=st.sampled_from([1, 2, 8]),
)
def test_equal_to_pyiqa(library, seed, height, width, noise, blocks):
    frame = picture(seed, height, width, noise, blocks)
    # pyiqa computes in float32: here and there one block falls on the other side of a threshold.
    one_block = 100 / (1 + (height // 16) * (width // 16))
    difference = abs(piqe(frame) - library(frame))
    assert difference < 0.02 or difference < one_block


def test_most_frames_agree_to_three_digits(library):
    frames = [picture(seed, 128, 144, noise) for seed in range(10) for noise in (0.0, 10.0)]
    close = [abs(piqe(frame) - library(frame)) < 0.005 for frame in frames]
    assert sum(close) >= 18


def test_noise_and_blocking_are_worse():
    clean = piqe(picture(1, 128, 144))
    assert piqe(picture(1, 128, 144, noise=30)) > clean + 5
    assert piqe(picture(1, 128, 144, blocks=8)) > clean + 5


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("value", [0, 128, 255])
def test_an_even_frame_has_no_active_block(value):
    assert piqe(np.full((32, 48, 3), value, dtype=np.uint8)) == 100


def test_frames_smaller_than_a_block():
    message = "piqe: frames must be at least 16 x 16 pixels; got 40 x 15"
    with pytest.raises(KvbenchError, match=message):
        Piqe().score([picture(0, 15, 40)], None, "")


def test_a_video_is_the_mean_of_its_frames():
    frames = [picture(seed, 64, 64, noise=10.0 * seed) for seed in range(3)]
    scores = Piqe().score(frames, None, "")
    assert scores.per_frame["piqe"] == [piqe(frame) for frame in frames]
    assert scores.values["piqe"] == pytest.approx(np.mean(scores.per_frame["piqe"]))
