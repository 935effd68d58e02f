"""The published peaks, taken apart, as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click
from attrs import asdict

from kvbench_report.peaks import Peak
from kvbench_report.text.tables import print_table

HEADINGS = (
    "method",
    "bits held per code",
    "held GiB",
    "model GiB",
    "published GiB",
    "published - model",
    "model, packed GiB",
)
DERIVED = ("model_bytes", "difference_bytes", "packed_peak_bytes", "is_explained")


def print_peaks(peaks: Sequence[Peak]) -> None:
    """At least one peak; those that the model does not meet come last."""
    ordered = sorted(peaks, key=lambda peak: (not peak.is_explained, peak.packed_peak_bytes))
    print_table(HEADINGS, [_row(peak) for peak in ordered])
    unexplained = [peak.method for peak in ordered if not peak.is_explained]
    click.echo(
        f"\nmodel: {_gib(ordered[0].other_bytes)} GiB of everything else (BF16's peak less its "
        "cache) + what is held"
    )
    click.echo(
        f"within 1 % of the published peak: {len(peaks) - len(unexplained)} of {len(peaks)} methods"
    )
    if unexplained:
        click.echo(f"not explained: {', '.join(unexplained)}")


def plain_peaks(peaks: Sequence[Peak], missing: Mapping[str, str]) -> dict[str, Any]:
    """For JSON."""
    rows = [asdict(peak) | {name: getattr(peak, name) for name in DERIVED} for peak in peaks]
    return {"peaks": rows, "left_out": missing}


def _row(peak: Peak) -> list[str]:
    is_coded = peak.held_bytes != peak.packed_bytes
    return [
        peak.method,
        str(peak.container_bits) if is_coded else "-",
        _gib(peak.held_bytes),
        _gib(peak.model_bytes),
        _gib(peak.published_bytes),
        _difference(peak.difference_bytes),
        _gib(peak.packed_peak_bytes),
    ]


def _gib(number: int) -> str:
    return f"{number / 2**30:.4f}"


def _difference(number: int) -> str:
    """Bytes, in the unit that suits them."""
    if abs(number) < 10_000:
        return f"{number} B"
    return f"{number / 2**20:.1f} MiB" if abs(number) < 2**30 else f"{number / 2**30:.2f} GiB"
