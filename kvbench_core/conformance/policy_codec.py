"""Clause P22: a codec's planes can be cut and joined at group boundaries."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from kvbench_core.cache import BF16, Planes, TensorCodec
from kvbench_core.conformance.base import Conformance
from kvbench_core.conformance.inputs import channel_offset
from kvbench_core.conformance.oracle import memory, reachable_tensors
from kvbench_core.conformance.rollout import same
from kvbench_core.policy import Composition, Policy

GROUPS = 5


class CodecClauses(Conformance):
    """The codec of a composition, on its own."""

    @pytest.fixture(params=["key", "value"])
    def coded(self, policy: Policy, request: pytest.FixtureRequest) -> tuple[TensorCodec, Tensor]:
        """A codec and something to code: five of its groups."""
        if not isinstance(policy, Composition) or policy.codec == BF16:
            pytest.skip("the policy is no composition with a codec")
        codec: TensorCodec = getattr(policy.codec, request.param)
        generator = torch.Generator().manual_seed(0)
        shape = (2, GROUPS * codec.group_tokens, 3, 32)
        return codec, channel_offset(shape, generator).bfloat16()

    def test_p22_groups_are_on_the_second_axis(self, coded: tuple[TensorCodec, Tensor]) -> None:
        codec, x = coded
        for plane in codec.encode(x).tensors():
            assert plane.shape[:2] == (2, GROUPS), (
                f"P22: planes are [batch, group, ...], (2, {GROUPS}, ...) here; got "
                f"{tuple(plane.shape)}"
            )

    def test_p22_encode_copies(self, coded: tuple[TensorCodec, Tensor]) -> None:
        codec, x = coded
        before = x.clone()
        planes = codec.encode(x)
        assert same(x, before), "P22: encode leaves its argument as it is"
        held = memory(reachable_tensors([planes, codec]))
        assert not held.keys() & memory([x]).keys(), "P22: planes share no memory with the argument"

    @pytest.mark.parametrize(("first", "last"), [(0, 1), (1, 3), (4, 5), (0, 5)])
    def test_p22_planes_are_cut_without_decoding(
        self, coded: tuple[TensorCodec, Tensor], first: int, last: int
    ) -> None:
        codec, x = coded
        planes, group = codec.encode(x), codec.group_tokens
        whole = _decoded(codec, planes, x)
        part = _decoded(codec, planes.groups(first, last), x[:, first * group : last * group])
        assert same(part, whole[:, first * group : last * group]), (
            f"P22: groups {first} to {last} decode to the same tokens alone as with the others"
        )

    @pytest.mark.parametrize("at", [1, 2, 4])
    def test_p22_planes_are_joined_without_decoding(
        self, coded: tuple[TensorCodec, Tensor], at: int
    ) -> None:
        codec, x = coded
        cut = at * codec.group_tokens
        planes = codec.encode(x[:, :cut]), codec.encode(x[:, cut:])
        apart = [
            _decoded(codec, plane, part)
            for plane, part in zip(planes, (x[:, :cut], x[:, cut:]), strict=True)
        ]
        joined = _decoded(codec, planes[0].join(planes[1]), x)
        assert same(joined, torch.cat(apart, dim=1)), (
            f"P22: runs joined after group {at} decode to what they decode to apart"
        )

    def test_p22_fewer_tokens_are_a_prefix(self, coded: tuple[TensorCodec, Tensor]) -> None:
        codec, x = coded
        planes = codec.encode(x)
        whole = _decoded(codec, planes, x)
        for tokens in {1, codec.group_tokens, x.shape[1] - 1} - {0}:
            assert same(_decoded(codec, planes, x[:, :tokens]), whole[:, :tokens]), (
                f"P22: decode writes the first {tokens} tokens when out has room for {tokens}"
            )

    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
    def test_p22_decode_fills_a_view(
        self, coded: tuple[TensorCodec, Tensor], dtype: torch.dtype
    ) -> None:
        codec, x = coded
        planes = codec.encode(x)
        frame = torch.full((2, x.shape[1] + 4, 3, 32), 7.0, dtype=dtype)
        codec.decode(planes, frame[:, 2:-2])
        assert same(frame[:, 2:-2].bfloat16(), _decoded(codec, planes, x)), (
            f"P22: decode writes into the tensor it is given, here a {dtype} view"
        )
        assert (frame[:, :2] == 7).all(), "P22: decode writes nothing before out"
        assert (frame[:, -2:] == 7).all(), "P22: decode writes nothing after out"


def _decoded(codec: TensorCodec, planes: Planes, like: Tensor) -> Tensor:
    out = torch.full_like(like, 7.0)
    codec.decode(planes, out)
    return out
