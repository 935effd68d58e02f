"""Values kept apart against the formula, worked out one by one."""

from __future__ import annotations

import math
from statistics import fmean, pstdev

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kvbench_core.cache import DenseCodec
from kvbench_core.cache.codec import DensePlanes
from kvbench_quant import Affine, Outliers, SparsePlanes


class GroupsOf(DenseCodec):
    """Keeps what it gets, in groups of 8 tokens, so that what it gets can be seen."""

    group_tokens = 8

    def encode(self, x):
        filled = torch.cat([x, x[:, -1:].expand(-1, -x.shape[1] % 8, -1, -1)], dim=1)
        return DensePlanes(filled.unflatten(1, (-1, 8)).clone())

    def decode(self, planes, out):
        out.copy_(planes.values.flatten(1, 2)[:, : out.shape[1]])


def sample(shape, seed, kind=torch.bfloat16, offset=0.0, loud=0.01):
    """Gaussian; about one value in a hundred 20 times as large."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(shape, generator=generator)
    x[torch.rand(shape, generator=generator) < loud] *= 20
    return (x + offset).to(kind)


def rounded(value, kind):
    return torch.tensor(value, dtype=torch.float64).to(kind).item()


def kept(planes, tokens, heads, dim, group_tokens=8):
    """``{(batch, token, head, dim): value}`` by walking through the counts."""
    planes = planes.copy()
    found, at = {}, 0
    for video, groups in enumerate(planes.counts.tolist()):
        for group, count in enumerate(groups):
            for place, value in zip(
                planes.place[at : at + count].tolist(),
                planes.value[at : at + count].tolist(),
                strict=True,
            ):
                token, rest = divmod(place, heads * dim)
                found[video, group * group_tokens + token, rest // dim, rest % dim] = value
            at += count
    assert at == len(planes.place) == len(planes.value)
    return found


def formula(x, threshold, max_share=None):
    """Outliers and clamped values of each video, in Python floats."""
    outliers, inside = {}, x.clone()
    for video in range(len(x)):
        values = x[video].flatten().tolist()
        mean, sigma = fmean(values), pstdev(values)
        reach = threshold * sigma
        if max_share is not None:
            farthest = sorted((abs(value - mean) for value in values), reverse=True)
            reach = max(reach, [*farthest, 0.0][math.floor(max_share * len(values))])
        low, high = (rounded(bound, x.dtype) for bound in (mean - reach, mean + reach))
        for at in torch.cartesian_prod(*map(torch.arange, x[video].shape)).tolist():
            value = x[video, *at].item()
            if not low <= value <= high:
                outliers[video, *at] = rounded(max(-65504.0, min(65504.0, value)), torch.half)
                inside[video, *at] = min(max(value, low), high)
    return outliers, inside


@settings(deadline=None, max_examples=60)
@given(
    batch=st.integers(1, 3),
    tokens=st.integers(1, 30),
    kind=st.sampled_from([torch.bfloat16, torch.float16, torch.float32]),
    threshold=st.sampled_from([1.5, 3.0, 6.0]),
    max_share=st.sampled_from([None, 0.001, 0.01, 1.0]),
    offset=st.sampled_from([0.0, 50.0]),
    seed=st.integers(0, 999),
)
def test_equals_the_formula(batch, tokens, kind, threshold, max_share, offset, seed):
    x = sample((batch, tokens, 2, 4), seed, kind, offset)
    codec = Outliers(GroupsOf(), threshold=threshold, max_share=max_share)
    planes, out = codec.encode(x), torch.empty_like(x)
    codec.decode(planes, out)
    outliers, inside = formula(x, threshold, max_share)
    assert kept(planes.outliers, tokens, 2, 4) == outliers
    assert torch.equal(planes.inner.values.flatten(1, 2)[:, :tokens], inside)
    for at, value in outliers.items():
        inside[at] = value
    assert torch.equal(out, inside)


@pytest.mark.parametrize("share", [0.001, 0.01, 0.2])
def test_no_more_than_the_largest_share(share):
    x = sample((2, 64, 2, 8), 0, loud=0.1)
    planes = Outliers(GroupsOf(), threshold=1.1, max_share=share).encode(x).outliers
    most = math.floor(share * x[0].numel())
    assert (planes.counts.sum(1) <= most).all()
    assert planes.counts.sum() > 0 or most == 0
    for video in range(2):
        magnitudes = sorted((x[video].double() - x[video].double().mean()).abs().flatten())
        values = {at: v for at, v in kept(planes, 64, 2, 8).items() if at[0] == video}
        assert all(abs(v) > magnitudes[-most - 1] - 0.1 for v in values.values())


@settings(deadline=None, max_examples=60)
@given(
    threshold=st.floats(1.01, 8),
    spread=st.floats(0, 6),
    offset=st.floats(-50, 50),
    log=st.integers(-30, 30),
    seed=st.integers(0, 99),
)
def test_chebyshev_limits_their_number_whatever_the_data(threshold, spread, offset, log, seed):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(1, 64, 2, 8, generator=generator, dtype=torch.float64)
    x = x * torch.exp(spread * torch.randn(x.shape, generator=generator, dtype=torch.float64))
    planes = Outliers(GroupsOf(), threshold).encode(((x + offset) * 10.0**log).bfloat16()).outliers
    assert len(planes.value) <= x.numel() / threshold**2 * 1.001 + 1


@pytest.mark.parametrize("value", [0.0, 3.0, 1e-36, 3e38, -0.1])
@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float32])
def test_equal_values_have_no_outliers(value, kind):
    x = torch.full((2, 20, 2, 4), value, dtype=kind)
    assert Outliers(GroupsOf()).encode(x).outliers.value.numel() == 0


def test_huge_outliers_saturate():
    x = torch.full((1, 64, 2, 8), 1.0, dtype=torch.bfloat16)
    x[0, 5, 1, 3], x[0, 40, 0, 0] = 1e30, -1e30
    codec, out = Outliers(GroupsOf()), torch.empty_like(x)
    codec.decode(codec.encode(x), out)
    assert out[0, 5, 1, 3] == 65536  # 65504 in bf16
    assert out[0, 40, 0, 0] == -65536
    assert (out != 1).sum() == 2


def test_a_video_is_judged_by_itself():
    quiet, loud = sample((1, 24, 2, 4), 0), 1000 * sample((1, 24, 2, 4), 1)
    codec = Outliers(GroupsOf(), threshold=3.0)
    both, alone = codec.encode(torch.cat([quiet, loud])), codec.encode(quiet)
    assert kept(alone.outliers, 24, 2, 4)
    assert torch.equal(both.inner.values[:1], alone.inner.values)


def test_padding_takes_no_part():
    """Five tokens in a group of eight: the threshold is that of the five."""
    x = sample((1, 5, 2, 64), 3, offset=9.0)
    codec = Outliers(GroupsOf(), threshold=3.0)
    low, high = codec.bounds(x)
    values = x.flatten().tolist()
    assert high.item() == rounded(fmean(values) + 3 * pstdev(values), x.dtype)
    assert low.item() == rounded(fmean(values) - 3 * pstdev(values), x.dtype)
    assert max(at[1] for at in kept(codec.encode(x).outliers, 5, 2, 64)) < 5


@settings(deadline=None, max_examples=60)
@given(
    batch=st.integers(1, 3),
    groups=st.integers(1, 6),
    cuts=st.lists(st.integers(0, 6), min_size=2, max_size=2).map(sorted),
    rows=st.lists(st.integers(0, 2), min_size=1, max_size=4),
    seed=st.integers(0, 99),
)
def test_sparse_planes_are_cut_and_joined_like_their_values(batch, groups, cuts, rows, seed):
    x = sample((batch, 8 * groups, 2, 3), seed, loud=0.2)
    whole = Outliers(GroupsOf(), threshold=1.2).encode(x).outliers
    first, last = (min(cut, groups) for cut in cuts)
    everything = kept(whole, 8 * groups, 2, 3)

    def shifted(planes, by):
        return {(b, t + by, h, d): v for (b, t, h, d), v in kept(planes, 0, 2, 3).items()}

    part = {at: v for at, v in everything.items() if 8 * first <= at[1] < 8 * last}
    assert shifted(whole.groups(first, last), 8 * first) == part
    again = whole.groups(0, first).join(whole.groups(first, groups)).copy()
    assert_same(again, whole)
    which = [row for row in rows if row < batch] or [0]
    picked = {
        (new, *at[1:]): v
        for new, old in enumerate(which)
        for at, v in everything.items()
        if at[0] == old
    }
    assert kept(whole.rows(torch.tensor(which)), 0, 2, 3) == picked
    assert_same(whole.rows(slice(0, 1)).join(whole.rows(slice(1, None)), dim=0), whole)


def assert_same(one, other):
    assert torch.equal(one.counts, other.counts)
    assert torch.equal(one.place, other.place)
    assert torch.equal(one.value, other.value)


@pytest.mark.parametrize(("heads", "dim", "kind"), [(12, 128, torch.int16), (40, 128, torch.int32)])
def test_places_take_as_few_bits_as_a_group_allows(heads, dim, kind):
    x = torch.zeros(1, 32, heads, dim)
    x[0, 31, -1, -1] = 5.0
    planes, out = Outliers(Affine()).encode(x), torch.empty_like(x)
    assert (planes.outliers.place.dtype, planes.outliers.counts.dtype) == (kind, kind)
    Outliers(Affine()).decode(planes, out)
    assert torch.equal(out, x)


@settings(deadline=None, max_examples=150)
@given(
    bits=st.sampled_from([2, 4]),
    per=st.sampled_from(["channel", "token"]),
    threshold=st.sampled_from([1.2, 3.0, 6.0]),
    log=st.floats(-12, 38),
    spread=st.floats(0, 6),
    offset=st.sampled_from([0.0, 1.0, 30.0]),
    seed=st.integers(0, 999),
)
def test_the_error_bound_holds_and_nothing_overflows(
    bits, per, threshold, log, spread, offset, seed
):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn((1, 48, 2, 4), generator=generator, dtype=torch.float64)
    x = x * torch.exp(spread * torch.randn(x.shape, generator=generator, dtype=torch.float64))
    limit = torch.finfo(torch.bfloat16).max
    x = ((x + offset) * 10**log).clamp(-limit, limit).bfloat16()
    codec = Outliers(Affine(bits=bits, per=per), threshold)
    out = torch.empty_like(x)
    codec.decode(codec.encode(x), out)
    assert out.isfinite().all()
    bound, peak = codec.error_bound(), x.double().abs().max()
    if peak <= bound.largest:
        each = bound.absolute + bound.peak * peak
        allowed = bound.relative * x.double().norm() + each * math.sqrt(x.numel())
        assert (out.double() - x.double()).norm() <= allowed


def test_without_data_there_are_none():
    codec = Outliers(Affine(bits=2), max_share=0.1)
    planes = codec.encode(torch.empty(1, 64, 2, 8, device="meta"))
    assert isinstance(planes.outliers, SparsePlanes)
    joined = planes.groups(0, 2).join(planes.groups(2, 4)).copy()
    assert joined.outliers.counts.shape == (1, 4)
    assert joined.outliers.value.numel() == joined.outliers.place.numel() == 0
    codec.decode(joined, torch.empty(1, 50, 2, 8, device="meta"))
