"""How a column is written: its name, its unit, and as many digits as say something."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from attrs import frozen

from kvbench_report.results import Better, Column, Floats
from kvbench_report.stats import Estimate

NOTHING = "-"
ARROWS: Mapping[Better, str] = {"higher": "\u2191", "lower": "\u2193"}
MIB, GIB = 2**20, 2**30
NAMES: Mapping[str, str] = {
    "compression_ratio": "compression ratio",
    "stored_bytes": "stored KV",
    "peak_bytes": "peak memory",
    "generation_peak_bytes": "peak of generation",
    "decoding_peak_bytes": "peak of video decoding",
    "runtime_s": "runtime",
    "encode_s": "time coding",
    "decode_s": "time decoding",
    "psnr": "PSNR",
    "ssim": "SSIM",
    "lpips": "LPIPS",
    "lpips_squeeze": "LPIPS (Squeeze)",
    "lpips_vgg": "LPIPS (VGG)",
    "stlpips": "ST-LPIPS",
    "cvvdp": "ColorVideoVDP",
    "vmaf": "VMAF",
    "piqe": "PIQE",
    "drift_last": "drift-last",
}
DERIVED: Mapping[str, str] = {"_drift_last": "drift-last", "_drift_slope": "drift slope"}
"""Endings of columns that are derived from another, in words."""
DIGITS: Mapping[str, int] = {"x": 3, "s": 2, "dB": 2, "MiB": 1, "GiB": 2}
"""After the point. Of other units four, or two where values reach ten."""


def display_name(column: Column) -> str:
    """A column's name for readers."""
    ending = next((ending for ending in DERIVED if column.name.endswith(ending)), "")
    base = column.name.removesuffix(ending) if ending else column.name
    words = NAMES.get(base, base.replace("_", " "))
    return f"{words} {DERIVED[ending]}" if ending else words


@frozen
class Display:
    """A column for readers: shown value = value / ``divisor``, with ``digits`` after the point."""

    name: str
    unit: str
    better: Better
    digits: int
    divisor: float = 1.0

    @classmethod
    def of(cls, column: Column, values: Floats) -> Display:
        """For ``values`` of ``column``: bytes become MiB, or GiB if one of them is that large."""
        unit, divisor = column.unit, 1.0
        largest = np.abs(values[np.isfinite(values)]).max(initial=0)
        if unit == "bytes":
            unit, divisor = ("GiB", GIB) if largest >= GIB else ("MiB", MIB)
        digits = DIGITS.get(unit, 2 if largest >= 10 else 4)
        return cls(display_name(column), unit, column.better, digits, divisor)

    @property
    def title(self) -> str:
        """Name and unit."""
        return f"{self.name} ({self.unit})" if self.unit not in ("", "x") else self.name

    def text(self, value: float | None, signed: bool = False) -> str:
        """A value without its unit; a dash where there is none."""
        if value is None or math.isnan(value):
            return NOTHING
        sign = "+" if signed else ""
        return f"{value / self.divisor:{sign}.{self.digits}f}"

    def interval(self, estimate: Estimate, signed: bool = False) -> str:
        """A mean with its interval, where it has one."""
        mean = self.text(estimate.value, signed)
        if estimate.low is None:
            return mean
        return f"{mean} [{self.text(estimate.low, signed)}, {self.text(estimate.high, signed)}]"
