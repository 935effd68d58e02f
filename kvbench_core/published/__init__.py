"""The published study's figures, as package data; ``README.md`` here names their source."""

from kvbench_core.published.load import (
    BENCHMARKS,
    Benchmark,
    drift_curve,
    layer_budgets,
    method_figures,
    trace_peaks,
)
from kvbench_core.published.records import (
    GIB,
    DriftPoint,
    LayerBudget,
    MethodFigures,
    TracePeak,
)

__all__ = [
    "BENCHMARKS",
    "GIB",
    "Benchmark",
    "DriftPoint",
    "LayerBudget",
    "MethodFigures",
    "TracePeak",
    "drift_curve",
    "layer_budgets",
    "method_figures",
    "trace_peaks",
]
