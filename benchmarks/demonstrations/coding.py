"""D1, D2, D3, D6, D7, D16: what single codecs do to tensors."""

from __future__ import annotations

import torch
from torch import Tensor

from benchmarks.containers import peaks
from benchmarks.pages import Row, code, table
from benchmarks.rollouts import correlated, gaussian, relative_error
from kvbench_core.cache import TensorCodec, held_bytes
from kvbench_core.conformance.rollout import coded
from kvbench_core.policy import Composition
from kvbench_core.published import GIB
from kvbench_core.registry import Registry

TOKENS = 2048
SHAPE = (1, TOKENS, 2, 128)
WRITES = (1, 2, 5, 10, 35, 70)


def key_codec(registry: Registry, text: str) -> TensorCodec:
    """The codec that an expression has for keys."""
    policy = registry.policy(text)
    assert isinstance(policy, Composition)
    return policy.codec.key


def _draw(seed: int = 0) -> tuple[tuple[int, ...], torch.Generator]:
    return SHAPE, torch.Generator().manual_seed(seed)


def d1(registry: Registry) -> str:
    """Codes in containers explain the published peaks."""
    rows = [
        {
            "method": code(peak.method),
            "published peak GiB": f"{peak.published_bytes / GIB:.4f}",
            "with containers": f"{peak.model_bytes / GIB:.4f}",
            "packed": f"{peak.packed_peak_bytes / GIB:.4f}",
        }
        for peak in peaks(registry)
    ]
    return table(rows)


def d2(registry: Registry) -> str:
    """Keys away from zero, coded once and twice."""
    codecs = {
        f"{name}, {bits} bits": key_codec(registry, text.format(bits=bits))
        for bits in (2, 4)
        for name, text in (
            ("exact", "kivi(bits={bits})"),
            ("clamped", "kivi(bits={bits}, zero_point='clamped')"),
            ("RTN", "rtn(bits={bits})"),
        )
    }
    rows = []
    for mean in (0, 1, 2, 3, 5, 10):
        x = (gaussian(*_draw()) + mean).bfloat16()
        row: dict[str, object] = {"mean / deviation": mean}
        for name, codec in codecs.items():
            once = coded(codec, x)
            row[name] = f"{relative_error(once, x):.3f}"
            if name.startswith("clamped"):
                row[f"{name}, twice"] = f"{relative_error(coded(codec, once), x):.3f}"
        rows.append(row)
    return table(rows)


def d3(registry: Registry) -> str:
    """The same keys coded again and again."""
    x = correlated(*_draw()).bfloat16()
    rows = []
    for text in (
        "rtn(bits=2)",
        "rtn(bits=4)",
        "kivi(bits=4)",
        "kivi(bits=4, zero_point='clamped')",
        "quarot(inner=rtn(bits=2))",
        "quarot(inner=rtn(bits=4))",
        "prq(bits=4, residual_bits=4)",
    ):
        codec, again = key_codec(registry, text), x
        row: dict[str, object] = {"method": code(text)}
        for write in range(1, WRITES[-1] + 1):
            again = coded(codec, again)
            if write in WRITES:
                row[f"{write} times"] = f"{relative_error(again, x):.4f}"
        rows.append(row)
    return table(rows)


def d6(registry: Registry) -> str:
    """Levels that two bits of RTN use."""
    x = gaussian(*_draw())
    codec = key_codec(registry, "rtn(bits=2)")
    decoded = coded(codec, x)
    shares = torch.stack([(decoded.sign() == sign).float().mean() for sign in (-1, 0, 1)])
    entropy = float(-(shares * shares.log2()).sum())
    used = ", ".join(f"{share:.1%}" for share in shares.tolist())
    rows = [_cost(registry, text, x) for text in ("rtn(bits=2)", "kivi(bits=2)", "rtn(bits=3)")]
    return (
        f"Shares of the levels -1, 0 and 1: {used}; {entropy:.2f} bits of information in 2 bits. "
        f"The fourth level is never used.\n\n{table(rows)}"
    )


def _cost(registry: Registry, text: str, x: Tensor) -> Row:
    """A codec's bits per element, scales included, and its error."""
    codec = key_codec(registry, text)
    bits = 8 * held_bytes(codec.encode(x)) / x.numel()
    error = relative_error(coded(codec, x), x)
    return {
        "method": code(text),
        "bits per element": f"{bits:.2f}",
        "ratio": f"{16 / bits:.3f}",
        "error": f"{error:.4f}",
    }


def d7(registry: Registry) -> str:
    """Outliers beyond six standard deviations, of what is there and of the allocation."""
    from kvbench_quant import Outliers

    codec = key_codec(registry, "QAQ_INT4")
    assert isinstance(codec, Outliers)
    x = gaussian(*_draw())
    rows = []
    for chunk in (1, 2, 3, 5, 7, 10, 14):
        filled = TOKENS * chunk // 14
        padded = torch.zeros_like(x)
        padded[:, :filled] = x[:, :filled]
        live = x[:, :filled]
        row: dict[str, object] = {"chunks of 14": chunk}
        for name, seen in (("filled", live), ("allocation", padded)):
            low, high = codec.bounds(seen)
            row[f"{name}: threshold in deviations"] = f"{float(high - low) / 2 / live.std():.2f}"
            flagged = ((live < low) | (live > high)).float().mean()
            row[f"{name}: outliers %"] = f"{100 * flagged:.3f}"
        rows.append(row)
    return table(rows)


def d16(registry: Registry) -> str:
    """Two stages against one of as many bits."""
    from kvbench_quant import Symmetric

    x = gaussian(*_draw())
    named = [
        _cost(registry, text, x)
        for text in (
            "rtn(bits=4)",
            "prq(bits=2, residual_bits=2)",
            "prq(bits=2, residual_bits=4)",
            "prq(bits=4, residual_bits=4)",
            "rtn(bits=8)",
        )
    ]
    for bits in (5, 6, 7):
        codec = Symmetric(bits=bits)
        error = relative_error(coded(codec, x), x)
        named.append(
            {
                "method": f"one stage of {bits} bits",
                "bits per element": f"{bits + 1:.2f}",
                "ratio": f"{16 / (bits + 1):.3f}",
                "error": f"{error:.4f}",
            }
        )
    return table(sorted(named, key=lambda row: float(str(row["bits per element"]))))
