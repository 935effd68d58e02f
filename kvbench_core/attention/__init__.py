"""Attention over parts of a cache, and the exact merge of the parts."""

from kvbench_core.attention.kernels import AttentionKernel, choose_kernel, kernel_report
from kvbench_core.attention.merge import Partial, merge

__all__ = ["AttentionKernel", "Partial", "choose_kernel", "kernel_report", "merge"]
