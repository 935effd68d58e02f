"""PSNR and SSIM against scikit-image called directly."""

from __future__ import annotations

import math
import time
import weakref

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from kvbench_core.errors import KvbenchError
from kvbench_core.registry import build_registry
from kvbench_fidelity.psnr import Psnr
from kvbench_fidelity.ssim import Ssim


def video(seed, frames=3, height=16, width=24):
    """Smooth random frames, ``[height, width, 3]`` uint8."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (frames, 2, 3, 3), dtype=np.uint8)
    tall = coarse.repeat(-(-height // 2), axis=1)[:, :height]
    return list(tall.repeat(-(-width // 3), axis=2)[:, :, :width])


def noisy(frames, seed, sigma):
    rng = np.random.default_rng(seed)
    return [
        (frame + rng.normal(0, sigma, frame.shape)).clip(0, 255).astype(np.uint8)
        for frame in frames
    ]


@pytest.mark.parametrize("name", ["psnr", "ssim"])
def test_registered_and_described(name):
    metric = build_registry().metric(name)
    assert metric.needs_reference
    assert [column.name for column in metric.columns] == [name]
    assert metric.settings()["data_range"] == 255


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 999),
    frames=st.integers(1, 4),
    height=st.integers(7, 20),
    width=st.integers(7, 20),
    sigma=st.floats(1, 90),
)
def test_equal_to_scikit_image(seed, frames, height, width, sigma):
    reference = video(seed, frames, height, width)
    candidate = noisy(reference, seed + 1, sigma)
    candidate[0][0, 0, 0] ^= 1
    similarity = [
        structural_similarity(a, b, channel_axis=-1, data_range=255)
        for a, b in zip(reference, candidate, strict=True)
    ]
    scores = Ssim().score(candidate, reference, "")
    assert scores.per_frame["ssim"] == pytest.approx(similarity, abs=1e-12)
    assert scores.values["ssim"] == pytest.approx(np.mean(similarity), abs=1e-12)
    scores = Psnr().score(candidate, reference, "")
    decibels = [
        None if np.array_equal(a, b) else peak_signal_noise_ratio(a, b, data_range=255)
        for a, b in zip(reference, candidate, strict=True)
    ]
    assert scores.per_frame["psnr"] == decibels
    finite = [value for value in decibels if value is not None]
    assert scores.values["psnr"] == pytest.approx(np.mean(finite))
    assert math.isfinite(scores.values["psnr"])


def test_identical_videos():
    psnr = Psnr().score(video(0), video(0), "")
    assert psnr.values == {"psnr": None}
    assert psnr.notes == {
        "equal_frames": 3,
        "reason": "every frame equals the BF16 video's, so PSNR is infinite",
    }
    assert Ssim().score(video(0), video(0), "").values["ssim"] == pytest.approx(1.0)


@pytest.mark.filterwarnings("error")
def test_one_equal_frame_is_counted_and_left_out():
    reference = video(0)
    candidate = [reference[0], *noisy(reference[1:], 1, 20)]
    scores = Psnr().score(candidate, reference, "")
    assert scores.notes == {"equal_frames": 1}
    assert scores.per_frame["psnr"][0] is None
    assert scores.values["psnr"] == pytest.approx(np.mean(scores.per_frame["psnr"][1:]))


def test_known_answers_by_hand():
    """An error of 1 in every value is 20 log10(255) dB."""
    reference = [np.full((8, 8, 3), 100, dtype=np.uint8)]
    off_by_one = [np.full((8, 8, 3), 101, dtype=np.uint8)]
    psnr = Psnr().score(off_by_one, reference, "").values["psnr"]
    assert psnr == pytest.approx(20 * math.log10(255))
    constant = (0.01 * 255) ** 2
    ssim = Ssim().score(off_by_one, reference, "").values["ssim"]
    assert ssim == pytest.approx((2 * 100 * 101 + constant) / (100**2 + 101**2 + constant))


@pytest.mark.parametrize("metric", [Psnr(), Ssim()])
@pytest.mark.parametrize(
    ("candidate", "reference", "message"),
    [
        (video(0, 3), video(0, 4), "the video has 3 frames and the BF16 video 4"),
        ([], [], "the video has no frame"),
        (video(0), video(0, height=17), "frame 0 is 24 x 16 and the BF16 video's is 24 x 17"),
    ],
)
def test_videos_that_cannot_be_compared(metric, candidate, reference, message):
    with pytest.raises(KvbenchError, match=message):
        metric.score(candidate, reference, "")


def test_frames_smaller_than_the_window():
    small = video(0, height=6, width=30)
    with pytest.raises(
        KvbenchError, match="ssim: frames must be at least 7 x 7 pixels; got 30 x 6"
    ):
        Ssim().score(small, small, "")


@pytest.mark.parametrize("metric", [Psnr(), Ssim()])
def test_memory_does_not_grow_with_length(metric):
    handed_out, most = [], 0

    class Lazy:
        def __len__(self):
            return 40

        def __iter__(self):
            nonlocal most
            for seed in range(40):
                frame = video(seed, 1)[0].copy()
                handed_out.append(weakref.ref(frame))
                most = max(most, sum(ref() is not None for ref in handed_out))
                yield frame

    metric.score(Lazy(), Lazy(), "")
    assert most <= 6


@pytest.mark.slow
def test_speed_of_a_full_size_pair(capsys):
    """165 frames of 480 x 832: at most 1.2 times the bare calls."""
    reference = video(0, 165, 480, 832)
    candidate = noisy(reference, 1, 10)
    began = time.perf_counter()
    for a, b in zip(reference, candidate, strict=True):
        structural_similarity(a, b, channel_axis=-1, data_range=255)
        peak_signal_noise_ratio(a, b, data_range=255)
    bare_s = time.perf_counter() - began
    began = time.perf_counter()
    Ssim().score(candidate, reference, "")
    Psnr().score(candidate, reference, "")
    ours_s = time.perf_counter() - began
    with capsys.disabled():
        print(f"\nSSIM and PSNR {ours_s:.1f} s, bare calls {bare_s:.1f} s")  # noqa: T201
    assert ours_s <= 1.2 * bare_s
