"""Quantisation primitives shared by several codecs; a library, not a plugin."""

from kvbench_quant.dequantize import dequantize
from kvbench_quant.grouped import GroupedCodec, group_size
from kvbench_quant.packing import pack, unpack
from kvbench_quant.symmetric import WIDTHS, Symmetric, SymmetricPlanes

__all__ = [
    "WIDTHS",
    "GroupedCodec",
    "Symmetric",
    "SymmetricPlanes",
    "dequantize",
    "group_size",
    "pack",
    "unpack",
]
