"""The ``reconstruct`` integration against the study's loop, written out.

The loop, for each pass over a chunk at tokens ``[s, e)``: decode the whole allocation (zeros at
first), put the fresh K and V at ``[s, e)``, attend to the newest window, and, if the cadence says
so, code the whole allocation again.
"""

from __future__ import annotations

import math

import pytest
import torch
from attrs import evolve

from kvbench_core.conformance.inputs import steps
from kvbench_core.geometry import CacheGeometry
from kvbench_core.integration import integrate
from kvbench_core.registry import build_registry
from kvbench_core.session import CacheSession

PASSES = 5
CHUNKS = 6
# 24 tokens a chunk, so that groups of 16 straddle every other chunk border, as on Wan.
STRADDLING = CacheGeometry(
    layers=1, heads=2, head_dim=8, grid=(2, 4), chunk_frames=3, window_frames=9
)
WHOLE_GROUPS = evolve(STRADDLING, grid=(2, 8))  # 48 tokens a chunk


def sym(x, bits):
    """SYM(bits) over blocks of 16 tokens, decoded to x's dtype."""
    qmax = 2 ** (bits - 1) - 1
    blocks = x.reshape(x.shape[0], -1, 16, *x.shape[2:])
    scale = (blocks.abs().amax(2, keepdim=True) / qmax).clamp(min=1e-8)
    codes = (blocks / scale).round().clamp(-qmax - 1, qmax)
    return (codes.float() * scale.half().float()).to(x.dtype).reshape(x.shape)


def attention(q, k, v):
    q, k, v = (x[0].transpose(0, 1).double() for x in (q, k, v))
    weights = (q @ k.mT / math.sqrt(q.shape[-1])).softmax(-1)
    return (weights @ v).transpose(0, 1)[None]


def passes(geometry):
    """q, k, v of every pass with its step."""
    generator = torch.Generator().manual_seed(3)
    shape = (3, 1, geometry.tokens_per_chunk, geometry.heads, geometry.head_dim)
    for chunk in range(CHUNKS):
        for step in steps(geometry, chunk, PASSES):
            yield step, *torch.randn(shape, generator=generator).bfloat16()


def study(geometry, key_bits, value_bits, *, refresh_only=False, recent_chunks=0):
    """The loop: attention outputs, and the decoded allocation after each chunk.

    With a recent window the loop was given the filled part only; without one, all of it.
    """
    chunk = geometry.tokens_per_chunk
    dense = torch.zeros(2, 1, CHUNKS * chunk, 2, 8, dtype=torch.bfloat16)
    outputs, caches = [], []
    for step, q, k, v in passes(geometry):
        dense[0, :, step.start : step.stop] = k
        dense[1, :, step.start : step.stop] = v
        window = slice(max(0, step.stop - 3 * chunk), step.stop)
        outputs.append(attention(q, dense[0][:, window], dense[1][:, window]))
        if step.is_context or not refresh_only:
            old = max(0, step.stop - recent_chunks * chunk) if recent_chunks else CHUNKS * chunk
            for x, bits in ((dense[0], key_bits), (dense[1], value_bits)):
                x[:, :old] = sym(x[:, :old], bits)
        if step.is_context:
            caches.append(dense.clone())
    return outputs, caches


def ours(geometry, method):
    policy = integrate(build_registry().policy(method), "reconstruct")
    session = CacheSession(policy, geometry, kernel="reference", planned_frames=3 * CHUNKS)
    outputs, caches = [], []
    for step, q, k, v in passes(geometry):
        session.begin_pass(step)
        outputs.append(session.attend(0, q, k, v))
        if step.is_context:
            content = session.layers[0].materialise(CHUNKS * geometry.tokens_per_chunk)
            caches.append(torch.stack([content.k, content.v]))
    return outputs, caches


STUDY = {
    "RTN_INT4": {"key_bits": 4, "value_bits": 4},
    "RTN_INT2": {"key_bits": 2, "value_bits": 2},
    "RTN_K2_V4": {"key_bits": 2, "value_bits": 4},
    "RTN_INT4_REFRESH": {"key_bits": 4, "value_bits": 4, "refresh_only": True},
    "RTN_INT4_RECENT2": {"key_bits": 4, "value_bits": 4, "recent_chunks": 2},
}


@pytest.mark.parametrize(
    ("geometry", "method"),
    [(WHOLE_GROUPS, name) for name in STUDY]
    # A window's border inside a group: the study coded half a group, we leave it to the window.
    + [(STRADDLING, name) for name in STUDY if name != "RTN_INT4_RECENT2"],
)
def test_equals_the_study_s_loop(geometry, method):
    outputs, caches = ours(geometry, method)
    expected_outputs, expected_caches = study(geometry, **STUDY[method])
    for have, want in zip(caches, expected_caches, strict=True):
        assert torch.equal(have, want)
    for have, want in zip(outputs, expected_outputs, strict=True):
        torch.testing.assert_close(have.double(), want, atol=0.02, rtol=0.01)


def test_the_cadence_matters_here():
    """A noisy pass leaves its scale behind in the group that straddles the chunk's border."""
    every_pass, clean_only = (
        ours(STRADDLING, name)[1][-1] for name in ("RTN_INT4", "RTN_INT4_REFRESH")
    )
    assert not torch.equal(every_pass, clean_only)


def test_the_first_chunk_is_exact():
    """A chunk attends to its own K and V before they are coded (D14)."""
    outputs, _ = ours(STRADDLING, "RTN_INT2")
    for (_, q, k, v), have in zip(list(passes(STRADDLING))[:PASSES], outputs, strict=False):
        torch.testing.assert_close(have.double(), attention(q, k, v), atol=0.02, rtol=0.01)


@pytest.mark.parametrize("method", ["RTN_INT4", "RTN_INT2"])
def test_coding_everything_again_adds_no_error(method):
    """The oldest chunk, coded 30 times, is as it was after its own clean pass (D3)."""
    _, caches = ours(WHOLE_GROUPS, method)
    chunk = WHOLE_GROUPS.tokens_per_chunk
    torch.testing.assert_close(
        caches[-1][:, :, :chunk], caches[0][:, :, :chunk], rtol=2**-7, atol=0
    )
