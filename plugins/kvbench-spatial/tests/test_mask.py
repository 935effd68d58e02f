"""Which positions are foreground, against the rule written out in plain Python."""

from __future__ import annotations

import statistics

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kvbench_core.errors import KvbenchError
from kvbench_core.parts import bf16
from kvbench_core.registry import build_registry
from kvbench_spatial.magnitude import Magnitude
from kvbench_spatial.tiering import Spatial

POLICIES = ("hybrid", "top-k", "threshold")
SHARES = st.sampled_from([(0.45, 0.65, 0.85), (0.6, 0.8, 0.9), (0.01, 0.01, 1.0), (1, 1, 1)])


def expected_foreground(variances, policy, low, target, high, threshold):
    """The rule of the study, position by position."""
    size = len(variances)
    lo = max(1, round(low * size))
    hi = max(lo, round(high * size))
    aim = min(max(round(target * size), lo), hi)
    over = sum(1 for variance in variances if variance > threshold)
    if policy == "top-k":
        keep = aim
    elif policy == "threshold":
        keep = min(max(over, lo), hi)
    else:
        keep = over if lo <= over <= hi else aim
    by_size = sorted(range(size), key=lambda position: -variances[position])
    return set(by_size[:keep])


@settings(max_examples=150, deadline=None)
@given(
    levels=st.lists(st.integers(0, 40), min_size=1, max_size=60),
    policy=st.sampled_from(POLICIES),
    shares=SHARES,
    threshold=st.sampled_from([0, 0.02, 0.25, 5]),
)
def test_mask_is_the_rule_of_the_study(levels, policy, shares, threshold):
    low, target, high = shares
    part = Spatial(bf16(), policy, low, high, target, threshold)
    variance = torch.tensor(levels, dtype=torch.float32) / 64
    mask = part.mask(variance)
    assert (mask.dtype, mask.shape) == (torch.bool, variance.shape)
    chosen = set(mask.nonzero().flatten().tolist())
    assert chosen == expected_foreground(variance.tolist(), policy, low, target, high, threshold)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("positions", [1, 2, 7, 1560])
def test_without_data_the_share_is_the_target(policy, positions):
    part = Spatial(bf16(), policy, 0.3, 0.9, 0.7)
    mask = part.mask(torch.empty(positions, device="meta"))
    assert mask.sum() == max(1, round(0.7 * positions))


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 1000),
    batch=st.integers(1, 2),
    positions=st.integers(1, 5),
    chunks=st.lists(st.integers(1, 4), min_size=1, max_size=4),
)
def test_variance_runs_over_all_frames_so_far(seed, batch, positions, chunks):
    generator = torch.Generator().manual_seed(seed)
    frames = sum(chunks)
    shape = (batch, frames, positions, 2, 3)
    v = (torch.randn(shape, generator=generator) * 10 ** (seed % 5 - 2)).bfloat16()
    magnitude, first = Magnitude(positions, v.device), 0
    for count in chunks:
        magnitude.add(v[:, first : first + count].flatten(1, 2))
        first += count
        seen = v[:, :first].double().abs()
        expected = [
            statistics.pvariance([seen[:, f, p].mean().item() for f in range(first)])
            for p in range(positions)
        ]
        scale = seen.mean().item() ** 2
        assert magnitude.frames == first
        assert magnitude.variance().tolist() == pytest.approx(expected, rel=1e-3, abs=1e-9 * scale)


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_statistics_do_not_grow_with_the_rollout(device):
    magnitude = Magnitude(4, torch.device(device))
    for _ in range(3):
        magnitude.add(torch.zeros(1, 12, 2, 3, device=device, dtype=torch.bfloat16))
    assert magnitude.variance().shape == (4,)
    assert magnitude.frames == 9


def moving_picture(frames, allocated):
    """The test of D11: 168 loud and quiet positions, 34 of which change from frame to frame."""
    generator = torch.Generator().manual_seed(0)
    loudness = (0.8 * torch.randn(168, generator=generator)).exp()
    moving = torch.randperm(168, generator=generator)[:34]
    v = loudness.repeat(allocated, 1)
    v[:, moving] *= 1 + 0.5 * torch.linspace(-1, 1, 2).repeat(allocated)[:allocated, None]
    v[frames:] = 0
    return v.reshape(1, -1, 1, 1).bfloat16(), set(moving.tolist())


@pytest.mark.parametrize("frames", [6, 21, 30])
def test_motion_is_found_unless_padding_takes_part(frames):
    """D11: over filled frames the mask finds what moves, over the allocation what is loud."""
    part = Spatial(bf16(), "top-k", 0.1, 0.9, 34 / 168)
    found = {}
    for allocated in (frames, 42):
        v, moving = moving_picture(frames, allocated)
        magnitude = Magnitude(168, v.device)
        magnitude.add(v)
        chosen = set(part.mask(magnitude.variance()).nonzero().flatten().tolist())
        found[allocated] = len(chosen & moving) / len(moving)
    assert found[frames] == 1
    assert found[42] < 0.5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("policy='best'", "policy must be one of hybrid, top-k, threshold; got 'best'"),
        ("min_share=0", "min_share must be a fraction in (0, 1]; got 0"),
        ("max_share=1.5", "max_share must be a fraction in (0, 1]; got 1.5"),
        ("target_share=-0.1", "target_share must be a fraction in (0, 1]; got -0.1"),
        ("min_share=0.9", "max_share must be at least min_share (0.9); got 0.85"),
        (
            "target_share=0.3",
            "target_share must be between min_share and max_share (0.45 to 0.85); got 0.3",
        ),
        ("threshold=-1", "threshold must be a number of at least 0; got -1"),
        ("threshold='x'", "threshold must be a number of at least 0; got 'x'"),
    ],
)
def test_bad_parameters_are_one_sentence(arguments, message):
    with pytest.raises(KvbenchError) as caught:
        build_registry().policy(f"bf16()+spatial(foreground=bf16(), {arguments})")
    assert str(caught.value) == f"spatial: {message}"


def test_the_foreground_is_a_codec():
    with pytest.raises(KvbenchError, match="spatial: foreground must be a codec such as rtn"):
        build_registry().policy("spatial(foreground=4)")
