"""Codecs as the caches see them, and a new one that gets everything else for nothing."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest
import torch
from attrs import frozen
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from kvbench_core.cache import (
    BF16,
    DenseCodec,
    ErrorBound,
    KVCodec,
    Planes,
    TensorCodec,
    TokenStore,
)
from kvbench_core.geometry import CacheGeometry, Step
from kvbench_core.integration import integrate
from kvbench_core.plugins import Plugin, Plugins, load_plugins
from kvbench_core.registry import build_registry
from kvbench_core.session import CacheSession
from kvbench_core.specs import PartSpec

GROUP = 5  # divides no chunk here, as 16 divides none of Wan's
GEOMETRY = CacheGeometry(
    layers=1, heads=2, head_dim=4, grid=(2, 3), chunk_frames=2, window_frames=6
)
TOKENS = GEOMETRY.tokens_per_chunk


@frozen(eq=False)
class Means(Planes):
    mean: Tensor
    sign: Tensor


@frozen
class GroupMean(TensorCodec):
    """The mean magnitude of each group of 5 tokens, and every token's sign."""

    group_tokens: int = GROUP

    def encode(self, x: Tensor) -> Means:
        pieces = x.split(GROUP, dim=1)
        mean = torch.stack([piece.abs().mean(1) for piece in pieces], dim=1)
        full = torch.zeros(x.shape[0], len(pieces) * GROUP, *x.shape[2:], dtype=torch.int8)
        full[:, : x.shape[1]] = x.sign().to(torch.int8)
        return Means(mean, full.unflatten(1, (-1, GROUP)))

    def decode(self, planes: Planes, out: Tensor) -> None:
        assert isinstance(planes, Means)
        out.copy_((planes.mean.unsqueeze(2) * planes.sign).flatten(1, 2)[:, : out.shape[1]])

    def error_bound(self) -> ErrorBound:
        return ErrorBound(relative=1.0)


def group_mean() -> KVCodec:
    return KVCodec(key=GroupMean(), value=GroupMean())


def tokens(count, seed=0, batch=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, count, 2, 4, generator=generator).bfloat16()


def coded(x):
    out = torch.empty_like(x)
    GroupMean().decode(GroupMean().encode(x), out)
    return out


@pytest.fixture
def registry(monkeypatch):
    """A registry in which a third party's plugin has brought the codec: one line of metadata."""
    module = ModuleType("third_party_codec")
    module.group_mean = group_mean
    monkeypatch.setitem(sys.modules, "third_party_codec", module)
    spec = PartSpec(
        name="group_mean",
        kind="codec",
        summary="Mean magnitudes and signs",
        target="third_party_codec:group_mean",
    )
    loaded = (*load_plugins([]).loaded, Plugin("third", "third-party", "1.0", (spec,)))
    return build_registry(Plugins(loaded, ()))


# Planes


@given(groups=st.integers(1, 7), cut=st.integers(0, 7), batch=st.integers(1, 2))
def test_planes_cut_and_joined_are_whole_again(groups, cut, batch):
    planes = GroupMean().encode(tokens(groups * GROUP, batch=batch))
    joined = planes.groups(0, cut).join(planes.groups(cut, groups))
    assert isinstance(joined, Means)
    for have, want in zip(joined.tensors(), planes.tensors(), strict=True):
        assert torch.equal(have, want)
        assert have.untyped_storage().data_ptr() != want.untyped_storage().data_ptr()


def test_a_cut_is_a_view_and_a_copy_is_not():
    planes = GroupMean().encode(tokens(4 * GROUP))
    cut = planes.groups(1, 3)
    assert cut.mean.data_ptr() == planes.mean[:, 1:].data_ptr()
    copy = cut.copy()
    assert torch.equal(copy.sign, planes.sign[:, 1:3])
    assert copy.sign.untyped_storage().nbytes() == copy.sign.nbytes


@frozen(eq=False)
class Two(Planes):
    """A codec on top of another: planes within planes."""

    inner: Means
    extra: torch.Tensor


def two(x):
    inner = GroupMean().encode(x)
    return Two(inner, inner.mean * 2)


def test_planes_within_planes_are_cut_joined_and_copied_with_them():
    x = tokens(4 * GROUP, batch=3)
    whole = two(x)
    assert [plane.shape[:2] for plane in whole.tensors()] == [(3, 4)] * 3
    joined = whole.groups(0, 1).join(whole.groups(1, 4)).copy()
    for have, want in zip(joined.tensors(), whole.tensors(), strict=True):
        assert torch.equal(have, want)


@pytest.mark.parametrize("which", [slice(1, 3), torch.tensor([2, 0])])
def test_planes_of_some_of_a_batch(which):
    x = tokens(2 * GROUP, batch=3)
    for have, want in zip(two(x).rows(which).tensors(), two(x[which]).tensors(), strict=True):
        assert torch.equal(have, want)
    both = two(x[:1]).join(two(x[1:]), dim=0)
    for have, want in zip(both.tensors(), two(x).tensors(), strict=True):
        assert torch.equal(have, want)


# The dense codec, bounds, pairs


def test_dense_codec_keeps_a_copy_of_everything():
    x = tokens(7)
    planes = DenseCodec().encode(x[:, 2:])
    expected = x[:, 2:].clone()
    x.zero_()
    out = torch.empty(1, 3, 2, 4, dtype=torch.bfloat16)
    DenseCodec().decode(planes, out)
    assert torch.equal(out, expected[:, :3])
    assert sum(plane.untyped_storage().nbytes() for plane in planes.tensors()) == 5 * 8 * 2
    assert DenseCodec().error_bound() == ErrorBound(relative=0.0)


def test_the_widest_bound_covers_both():
    one = ErrorBound(relative=0.1, absolute=1e-3, largest=5.0)
    other = ErrorBound(relative=0.2, absolute=1e-6)
    assert one.widest(other) == ErrorBound(relative=0.2, absolute=1e-3, largest=5.0)


def test_the_bound_of_two_codings_covers_both_and_either():
    one = ErrorBound(relative=0.1, absolute=1e-3, largest=5.0)
    other = ErrorBound(relative=0.2, absolute=1e-2, largest=8.0)
    both = one.then(other)
    assert both.relative == pytest.approx(0.1 + 0.2 * 1.1)
    assert both.absolute == pytest.approx(1e-3 * 1.2 + 1e-2)
    assert both.largest == 4.0
    assert ErrorBound(relative=0.0).then(other).relative == pytest.approx(other.relative)


def test_a_bound_against_the_largest_element():
    one = ErrorBound(relative=0.0, peak=0.1)
    other = ErrorBound(relative=0.5, peak=0.2)
    assert one.widest(other) == ErrorBound(relative=0.5, peak=0.2)
    assert one.then(other).peak == pytest.approx(0.1 * 1.5 + 2 * 0.2)
    assert one.then(ErrorBound(relative=0.0, peak=0.5)) is None


def test_two_coarse_codings_promise_nothing():
    assert ErrorBound(relative=0.3).then(ErrorBound(relative=0.9)) is None


def test_a_pair_works_on_groups_of_both():
    assert KVCodec(key=GroupMean(), value=DenseCodec()).group_tokens == GROUP
    assert KVCodec(key=GroupMean(5), value=GroupMean(2)).group_tokens == 10
    assert KVCodec(key=GroupMean(), value=DenseCodec()).error_bound().relative == 1.0


# The store


@settings(deadline=None)
@given(data=st.data(), appended=st.lists(st.integers(1, 13), min_size=1, max_size=5))
def test_any_range_of_a_store_is_that_range_of_one_run(data, appended):
    """Whole groups read as one coded run would, the rest as it was."""
    k, v = tokens(sum(appended), 1), tokens(sum(appended), 2)
    store, first = TokenStore(group_mean()), 0
    for count in appended:
        store.append(k[:, first : first + count], v[:, first : first + count])
        first += count
    whole = first // GROUP * GROUP
    start = data.draw(st.integers(0, first - 1))
    stop = data.draw(st.integers(start + 1, first))
    k_out, v_out = (torch.empty(1, stop - start, 2, 4, dtype=torch.bfloat16) for _ in range(2))
    store.read(start, stop, k_out, v_out)
    for x, out in ((k, k_out), (v, v_out)):
        expected = torch.cat([coded(x[:, :whole]), x[:, whole:]], dim=1) if whole else x
        assert torch.equal(out, expected[:, start:stop])


# What a new codec gets for nothing


def rollout(policy, chunks):
    """Clean K of every chunk, the session after the last, and the outputs of its passes."""
    session = CacheSession(policy, GEOMETRY, planned_frames=2 * chunks)
    clean, outputs = [], []
    for chunk in range(chunks):
        for index in range(3):
            q, k, v = (tokens(TOKENS, 100 * chunk + 10 * index + i) for i in range(3))
            step = Step(
                geometry=GEOMETRY,
                chunk=chunk,
                denoise_index=index,
                is_context=index == 2,
                start_frame=2 * chunk,
                frames=2,
            )
            session.begin_pass(step)
            outputs.append(session.attend(0, q, k, v))
        clean.append(k)
    return torch.cat(clean, dim=1), session, outputs


@pytest.mark.parametrize("chunks", [1, 2, 5])
def test_a_new_codec_streams(registry, chunks):
    clean, session, _ = rollout(registry.policy("group_mean()"), chunks)
    whole = chunks * TOKENS // GROUP * GROUP
    kept = session.layers[0].materialise(chunks * TOKENS).k
    assert torch.equal(kept[:, :whole], coded(clean[:, :whole]))
    assert torch.equal(kept[:, whole:], clean[:, whole:])


@pytest.mark.parametrize("blocks", [1, 2])
def test_a_new_codec_gets_a_recent_window(registry, blocks):
    policy = registry.policy(f"group_mean()+recent(blocks={blocks})")
    clean, session, _ = rollout(policy, 5)
    old = (5 - blocks) * TOKENS // GROUP * GROUP
    kept = session.layers[0].materialise(5 * TOKENS).k
    assert torch.equal(kept[:, :old], coded(clean[:, :old]))
    assert torch.equal(kept[:, old:], clean[:, old:])
    assert policy.promise().exact_chunks == blocks


def test_a_new_codec_gets_the_refresh_cadence(registry):
    """The same video in streaming, another one when every noisy pass codes everything again."""

    def outputs(method, integration):
        return rollout(integrate(registry.policy(method), integration), 4)[2]

    def same(one, other):
        return all(map(torch.equal, one, other))

    plain, refresh = "group_mean()", "group_mean()+refresh()"
    assert same(outputs(plain, "streaming"), outputs(refresh, "streaming"))
    assert not same(outputs(plain, "reconstruct"), outputs(refresh, "reconstruct"))


def test_the_first_chunk_is_exact_whatever_the_codec(registry):
    _, _, plain = rollout(registry.policy("group_mean()"), 1)
    _, _, exact = rollout(registry.policy("bf16()"), 1)
    assert all(map(torch.equal, plain, exact))
    assert registry.policy("bf16()").codec is BF16
