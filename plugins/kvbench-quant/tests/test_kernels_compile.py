"""The Triton kernels compile for a GPU, on machines without one too."""

from __future__ import annotations

import pytest
import torch

from kvbench_quant import (
    Affine,
    Outliers,
    Residual,
    Rotated,
    Symmetric,
    ZeroPointAffine,
)
from kvbench_quant.fused import Uniform

triton = pytest.importorskip("triton")
jit = pytest.importorskip("triton.runtime.jit")

POINTERS = {
    torch.bfloat16: "*bf16",
    torch.float16: "*fp16",
    torch.float32: "*fp32",
    torch.uint8: "*u8",
    torch.int16: "*i16",
    torch.int64: "*i64",
}
SCALARS = {int: "i32", float: "fp32"}


@pytest.fixture
def compiled(monkeypatch):
    """Names of the kernels that were compiled for an H100 instead of run."""
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    names = []

    def compile_only(kernel, *arguments, grid, warmup, **constants):
        given = dict(zip(kernel.arg_names, arguments, strict=False))
        options = {"num_warps": constants.pop("num_warps", 4)}
        signature = {name: _type(value) for name, value in given.items()}
        signature |= dict.fromkeys(constants, "constexpr")
        source = ASTSource(kernel, signature, {(kernel.arg_names.index(n),): v
                                               for n, v in constants.items()})  # fmt: skip
        triton.compile(source, target=GPUTarget("cuda", 90, 32), options=options)
        names.append(kernel.__name__)

    monkeypatch.setattr(jit.JITFunction, "run", compile_only)
    return names


def _type(value):
    return POINTERS[value.dtype] if isinstance(value, torch.Tensor) else SCALARS[type(value)]


@pytest.mark.parametrize("source", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize(
    ("codec", "kernel"),
    [
        (Symmetric(bits=4), "_per_channel"),
        (Affine(bits=3, group_tokens=8), "_per_channel"),
        (ZeroPointAffine(bits=2, per="token"), "_per_token"),
    ],
    ids=str,
)
def test_encoding(compiled, codec, kernel, source):
    from kvbench_quant.kernels.encode import encode

    encode(codec.uniform, torch.zeros(1, 40, 12, 128, dtype=source), (1e-8, 65280.0))
    assert compiled == [kernel]


@pytest.mark.parametrize(
    "codec",
    [
        Symmetric(bits=4),
        ZeroPointAffine(bits=5, per="token"),
        Residual(Symmetric(bits=2), Affine(bits=4)),
        Rotated(Symmetric(bits=4)),
    ],
    ids=str,
)
def test_decoding(compiled, codec):
    from kvbench_quant.kernels.decode import decode

    x = torch.zeros(1, 32, 2, 128, dtype=torch.bfloat16)
    decode(codec.levels(codec.encode(x)), x)
    assert compiled == ["_decode"]


def test_rotation_and_single_values(compiled):
    from kvbench_quant.kernels.hadamard import hadamard
    from kvbench_quant.kernels.scatter import scatter

    x = torch.zeros(1, 32, 2, 128, dtype=torch.bfloat16)
    hadamard(x, torch.float32, 1.0)
    scatter(Outliers(Affine()).encode(x).outliers, 16, x)
    assert compiled == ["_hadamard", "_scatter"]


def test_a_kernel_that_does_not_compile_is_seen(compiled, monkeypatch):
    from kvbench_quant.kernels import encode

    monkeypatch.setattr(encode, "COLUMNS", 100)  # no power of two
    with pytest.raises(triton.compiler.errors.CompilationError):
        encode.encode(Uniform(bits=4, group_tokens=16), torch.zeros(1, 16, 1, 8), (0.0, 1.0))
