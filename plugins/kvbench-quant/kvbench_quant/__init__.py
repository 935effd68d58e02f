"""Quantisation primitives shared by several codecs; a library, not a plugin."""

from kvbench_quant.affine import (
    ZERO_POINTS,
    Affine,
    AffinePlanes,
    ClampedAffine,
    ZeroPointAffine,
    asymmetric,
)
from kvbench_quant.fused import FusedCodec, Levels, Origin, Sum, Uniform
from kvbench_quant.grouped import GroupedCodec, group_size
from kvbench_quant.hadamard import Rotated, check_head_dim, hadamard
from kvbench_quant.outliers import OutlierPlanes, Outliers, sigmas
from kvbench_quant.packing import CONTAINERS, pack, store, unpack
from kvbench_quant.residual import Residual, ResidualPlanes
from kvbench_quant.slabs import slabs
from kvbench_quant.sparse import SparsePlanes
from kvbench_quant.symmetric import WIDTHS, Symmetric, SymmetricPlanes
from kvbench_quant.uniform import UniformCodec

__all__ = [
    "CONTAINERS",
    "WIDTHS",
    "ZERO_POINTS",
    "Affine",
    "AffinePlanes",
    "ClampedAffine",
    "FusedCodec",
    "GroupedCodec",
    "Levels",
    "Origin",
    "OutlierPlanes",
    "Outliers",
    "Residual",
    "ResidualPlanes",
    "Rotated",
    "SparsePlanes",
    "Sum",
    "Symmetric",
    "SymmetricPlanes",
    "Uniform",
    "UniformCodec",
    "ZeroPointAffine",
    "asymmetric",
    "check_head_dim",
    "group_size",
    "hadamard",
    "pack",
    "sigmas",
    "slabs",
    "store",
    "unpack",
]
