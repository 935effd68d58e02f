"""The study's caches as they were held: codes in integers of 8 or 16 bits."""

from __future__ import annotations

from collections.abc import Iterable

from kvbench_core.cli.progress import Quiet
from kvbench_core.registry import Registry
from kvbench_report.peaks import Peak, explain

HELD = (
    *("RTN_INT2", "RTN_INT4", "KIVI_INT2", "KIVI_INT4", "QUAROT_KV_INT2", "QUAROT_KV_INT4"),
    *("PRQ_INT2", "PRQ_INT4", "AGE_TIER_INT2", "AGE_TIER_INT4"),
)
"""Methods whose published peak the containers explain."""

UNEXPLAINED = (
    *("RTN_K2_V4", "KIVI_K2_V4", "RTN_INT4_REFRESH", "KIVI_INT4_REFRESH"),
    *("QUAROT_KV_INT4_REFRESH", "RTN_INT4_RECENT2", "QUAROT_KV_INT4_RECENT2"),
)
"""Methods of another code revision, whose published peak is higher than that."""


def peaks(registry: Registry, methods: Iterable[str] = HELD) -> list[Peak]:
    """The published MovieGen peaks taken apart, of the methods that are installed."""
    found, _ = explain(registry, "moviegen", methods, Quiet())
    return found
