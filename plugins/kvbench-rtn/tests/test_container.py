"""``container_bits``: the memory that the published study really held (known defect D1)."""

from __future__ import annotations

import pytest

from kvbench_core.budget import footprint
from kvbench_core.conformance.policy_bytes import BytesClauses
from kvbench_core.registry import build_registry


@pytest.mark.parametrize(
    ("method", "bits", "gib"),
    [("RTN_INT2", 16, 19.9831), ("RTN_INT4", 16, 19.9831), ("RTN_INT4", 8, None)],
)
def test_held_bytes_explain_the_published_peak(method, bits, gib):
    """BF16's published peak less its cache, plus what containers hold, is the published peak."""
    pytest.importorskip("kvbench_selfforcing_wan")
    registry = build_registry()
    policy = registry.policy(f"{method}(container_bits={bits})")
    held = footprint(policy, registry.backend("wan-1.3b"), 42).stored_bytes
    elements = 30 * 42 * 1560 * 2 * 1536
    assert held == elements * (bits + 1) // 8
    if gib is not None:
        others = 20_701_900_800 - 12_076_646_400
        assert (others + held) / 2**30 == pytest.approx(gib, abs=5e-5)


@pytest.mark.parametrize(("bits", "container_bits"), [(2, 8), (4, 8), (2, 16), (4, 16), (8, 16)])
def test_containers_do_not_pass_as_packed_storage(bits, container_bits):
    policy = build_registry().policy(f"rtn(bits={bits}, container_bits={container_bits})")
    with pytest.raises(AssertionError, match="P4: codes are packed"):
        BytesClauses().test_p4_stored_bits_carry_information(policy)
