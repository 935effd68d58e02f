"""The part, the presets, and what an exact zero point is worth."""

from __future__ import annotations

import pytest
import torch

from kvbench_core.budget import footprint
from kvbench_core.conformance.policy_bytes import BytesClauses
from kvbench_core.conformance.rollout import coded
from kvbench_core.errors import KvbenchError
from kvbench_core.registry import build_registry
from kvbench_core.specs import PolicySpec
from kvbench_kivi.codec import Kivi
from kvbench_quant import Affine, ClampedAffine, Symmetric, ZeroPointAffine


@pytest.fixture(scope="module")
def registry():
    return build_registry()


def normal(shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def error(codec, x):
    return ((coded(codec, x) - x).float().norm() / x.float().norm()).item()


@pytest.mark.parametrize(
    ("name", "published"),
    [
        ("KIVI_INT2", 5.314879),
        ("KIVI_INT4", 3.193347),
        ("KIVI_K2_V4", 3.9896),
        ("KIVI_INT4_REFRESH", 3.193347),
    ],
)
def test_ratio_is_the_published_one_or_better(registry, name, published):
    """From bytes held on the meta device at the published geometry."""
    pytest.importorskip("kvbench_selfforcing_wan")
    found = footprint(registry.policy(name), registry.backend("wan-1.3b"), 42)
    assert found.compression_ratio > 0.9995 * published


def test_presets_are_the_study_s_families(registry):
    families = {"KIVI"}
    entries = registry.all(PolicySpec).items()
    names = [name for name, entry in entries if entry.spec.family in families]
    assert names == [
        "KIVI_INT2",
        "KIVI_INT4",
        "KIVI_K2_V4",
        "KIVI_INT4_REFRESH",
    ]
    assert set(names) <= set(registry.select(["study"]))


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        (
            "kivi(bits=5)",
            "kivi: bits must be one of 2, 3, 4, 8; got 5",
        ),
        (
            "kivi(key_bits=True)",
            "kivi: key_bits must be one of 2, 3, 4, 8; got True",
        ),
        (
            "kivi(value_bits='4')",
            "kivi: value_bits must be one of 2, 3, 4, 8; got '4'",
        ),
        (
            "kivi(group_tokens=12)",
            "kivi: group_tokens must be a positive multiple of 8; got 12",
        ),
        (
            "kivi(zero_point='none')",
            "kivi: zero_point must be one of exact, clamped; got 'none'",
        ),
        (
            "KIVI_INT4(container_bits=4)",
            "kivi: container_bits must be one of 8, 16; got 4",
        ),
    ],
)
def test_bad_parameters_are_one_sentence(registry, expression, message):
    with pytest.raises(KvbenchError) as caught:
        registry.policy(expression)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("part", "key", "value"),
    [
        (Kivi(), Affine(), ZeroPointAffine(per="token")),
        (Kivi(bits=2), Affine(bits=2), ZeroPointAffine(bits=2, per="token")),
        (Kivi(key_bits=2), Affine(bits=2), ZeroPointAffine(bits=4, per="token")),
        (Kivi(3, value_bits=8), Affine(bits=3), ZeroPointAffine(bits=8, per="token")),
        (Kivi(zero_point="clamped"), ClampedAffine(), ClampedAffine(per="token")),
        (
            Kivi(group_tokens=24, container_bits=8),
            Affine(group_tokens=24, container_bits=8),
            ZeroPointAffine(group_tokens=24, per="token", container_bits=8),
        ),
    ],
)
def test_keys_are_coded_per_channel_and_values_per_token(part, key, value):
    assert (part.key, part.value) == (key, value)


def offset_keys(offset):
    """Gaussian keys around a constant of their channel's own."""
    constants = offset * normal((1, 1, 2, 64), 1).sign()
    return (normal((1, 320, 2, 64)) + constants).bfloat16()


@pytest.mark.parametrize("bits", [2, 3, 4])
@pytest.mark.parametrize("offset", [1.0, 3.0, 10.0])
def test_beats_rtn_on_keys_with_offsets_and_the_clamped_one_does_not(bits, offset):
    x = offset_keys(offset)
    exact, clamped = (Kivi(bits, zero_point=z).key for z in ("exact", "clamped"))
    rtn = error(Symmetric(bits), x)
    assert error(exact, x) < 0.7 * rtn
    if offset >= 10:
        assert error(clamped, x) > rtn


@pytest.mark.parametrize(
    ("mean", "bits", "once", "twice", "reference"),
    [
        (0, 2, 0.350, 0.351, 0.327),
        (2, 2, 0.168, 0.255, 0.146),
        (10, 2, 0.655, 1.000, 0.033),
        (0, 4, 0.070, 0.071, 0.065),
        (2, 4, 0.082, 0.200, 0.029),
        (10, 4, 0.655, 1.000, 0.0065),
    ],
)
def test_errors_are_those_that_were_measured_of_the_study(mean, bits, once, twice, reference):
    """Known defect D2, its table of independent N(mean, 1) values."""
    x = (normal((1, 6400, 2, 16)) + mean).bfloat16()
    exact, clamped = (Kivi(bits, zero_point=z).key for z in ("exact", "clamped"))
    after = coded(clamped, coded(clamped, x))
    assert error(clamped, x) == pytest.approx(once, rel=0.05)
    assert ((after - x).float().norm() / x.float().norm()).item() == pytest.approx(twice, rel=0.05)
    assert error(exact, x) == pytest.approx(reference, rel=0.05)


@pytest.mark.parametrize("container_bits", [8, 16])
def test_containers_do_not_pass_as_packed_storage(registry, container_bits):
    """Known defect D1: what the study held per element, and the clause that refuses it."""
    policy = registry.policy(f"KIVI_INT4(container_bits={container_bits})")
    with pytest.raises(AssertionError, match="P4: codes are packed"):
        BytesClauses().test_p4_stored_bits_carry_information(policy)
