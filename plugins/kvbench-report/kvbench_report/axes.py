"""The axes that methods are judged on, and which column of a run or a table stands for each."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from attrs import frozen

from kvbench_report.display import display_name
from kvbench_report.results import Column, Floats, Results


@frozen
class Axis:
    """Something that a choice weighs.

    ``columns`` are what the study has in mind, ``stand_ins`` what may take its place, which is
    always said.
    """

    name: str
    columns: tuple[str, ...]
    stand_ins: tuple[str, ...] = ()


RATIO = Axis("compression ratio", ("compression_ratio",))
PEAK = Axis("peak memory", ("peak_bytes",))
RUNTIME = Axis("runtime", ("runtime_s",))
SSIM = Axis("SSIM", ("ssim",))
LPIPS = Axis("LPIPS", ("lpips",), ("stlpips", "lpips_vgg", "lpips_squeeze"))
PSNR = Axis("PSNR", ("psnr",))
IMAGING = Axis("imaging quality", ("imaging_quality",), ("piqe",))
DRIFT = Axis("drift-last", ("drift_last", "imaging_quality_drift_last"), ("piqe_drift_last",))
AXES = (RATIO, PEAK, RUNTIME, SSIM, LPIPS, PSNR, IMAGING, DRIFT)


def column_for(results: Results, axis: Axis) -> Column | None:
    """The first column of the axis that has a figure for a compressed method.

    In results without compressed methods any figure will do.
    """
    others = [row for row, method in enumerate(results.methods) if not method.is_reference]
    for name in (*axis.columns, *axis.stand_ins):
        if name in results.columns:
            level = results.level(name)
            if not np.isnan(level[others] if others else level).all():
                return results.columns[name]
    return None


def costs(results: Results, column: Column) -> Floats:
    """Each method's level, signed so that lower is better, ``[method]``; NaN where missing."""
    return cost(results.level(column.name), column)


def cost(levels: Floats, column: Column) -> Floats:
    """``levels`` signed so that lower is better."""
    return levels if column.better == "lower" else -levels


def stand_in(axis: Axis, column: Column) -> str:
    """A sentence that says so if ``column`` only stands in for the axis, or nothing."""
    stands_in = column.name in axis.stand_ins
    return f"{display_name(column)} stands in for {axis.name}" if stands_in else ""


def notes(found: Mapping[Axis, Column | None]) -> list[str]:
    """What a reader has to know of the columns that were found: gaps and stand-ins."""
    absent = [axis.name for axis, column in found.items() if column is None]
    named = [stand_in(axis, column) for axis, column in found.items() if column is not None]
    return [f"no figures of {', '.join(absent)}"] * bool(absent) + [note for note in named if note]
