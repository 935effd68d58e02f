"""The study's caches as they were held: codes in integers of 8 or 16 bits."""

from __future__ import annotations

from benchmarks.methods import usable
from kvbench_core.budget import Footprint, footprint
from kvbench_core.published import method_figures
from kvbench_core.registry import Registry

FRAMES, BACKEND = 42, "wan-1.3b"

ROTATED = "quarot(inner=rtn(bits={}, container_bits=16))"
AGED = "rtn(bits={}, container_bits=8)+age(share=0.3, newest=rtn(bits=4, container_bits=8))"
RECENT = "rtn(bits=4, container_bits=8)+recent(blocks=2)"

HELD = {
    "RTN_INT2": "RTN_INT2(container_bits=16)",
    "RTN_INT4": "RTN_INT4(container_bits=16)",
    "KIVI_INT2": "KIVI_INT2(container_bits=16)",
    "KIVI_INT4": "KIVI_INT4(container_bits=16)",
    "QUAROT_KV_INT2": ROTATED.format(2),
    "QUAROT_KV_INT4": ROTATED.format(4),
    "PRQ_INT2": "PRQ_INT2(container_bits=8)",
    "PRQ_INT4": "PRQ_INT4(container_bits=8)",
    "AGE_TIER_INT2": AGED.format(2),
    "AGE_TIER_INT4": AGED.format(4),
}
"""Methods whose published peak the containers explain."""

UNEXPLAINED = {
    "RTN_K2_V4": "RTN_K2_V4(container_bits=8)",
    "KIVI_K2_V4": "KIVI_K2_V4(container_bits=8)",
    "RTN_INT4_REFRESH": "RTN_INT4_REFRESH(container_bits=8)",
    "KIVI_INT4_REFRESH": "KIVI_INT4_REFRESH(container_bits=8)",
    "QUAROT_KV_INT4_REFRESH": "quarot(inner=rtn(bits=4, container_bits=8))",
    "RTN_INT4_RECENT2": RECENT,
    "QUAROT_KV_INT4_RECENT2": "quarot(inner=rtn(bits=4, container_bits=8))+recent(blocks=2)",
}
"""Methods of another code revision, whose published peak is higher than that."""


def besides_cache() -> int:
    """Bytes of the published BF16 peak that are not its cache."""
    reference = method_figures("moviegen")["BF16"]
    assert reference.compressed_kv_bytes is not None
    return reference.peak_vram_bytes - reference.compressed_kv_bytes


def peaks(
    registry: Registry, held: dict[str, str] | None = None
) -> dict[str, tuple[Footprint, Footprint]]:
    """Packed and in containers, by published name, for what is installed."""
    backend = registry.backend(BACKEND)
    found = {}
    for name, text in (HELD if held is None else held).items():
        policies = usable(registry, (name, text))
        if len(policies) == 2:
            packed, wide = (footprint(policy, backend, FRAMES) for policy in policies.values())
            found[name] = packed, wide
    return found
