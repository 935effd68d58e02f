"""``kivi(zero_point="clamped")@reconstruct`` against the study's loop, written out.

For each pass over a chunk at tokens ``[s, e)``: decode the whole allocation (zeros at first), put
the fresh K and V at ``[s, e)``, and code the whole allocation again.
"""

from __future__ import annotations

import pytest
import torch

from kvbench_core.conformance.inputs import steps
from kvbench_core.geometry import CacheGeometry
from kvbench_core.integration import integrate
from kvbench_core.registry import build_registry
from kvbench_core.session import CacheSession

PASSES = 5
CHUNKS = 6
TOKENS = 24  # a chunk's, so that groups of 16 straddle every other chunk border, as on Wan
GEOMETRY = CacheGeometry(layers=1, heads=2, head_dim=8, grid=(2, 4), chunk_frames=3)


def asym(x, bits, dims):
    """ASYM(bits) over blocks, decoded to the dtype of ``x``."""
    qmax = 2**bits - 1
    low, high = x.amin(dims, keepdim=True), x.amax(dims, keepdim=True)
    scale = ((high - low) / qmax).clamp(min=1e-8)
    zero = (-low / scale).round().clamp(0, qmax)
    codes = (x / scale + zero).round().clamp(0, qmax)
    return ((codes.float() - zero.half().float()) * scale.half().float()).to(x.dtype)


def asym_keys(x, bits):
    return asym(x.unflatten(1, (-1, 16)), bits, (2,)).flatten(1, 2)


def passes(smooth):
    """q, k, v of every pass with its step; neighbouring tokens are alike."""
    generator = torch.Generator().manual_seed(3)
    for chunk in range(CHUNKS):
        clean = torch.randn(3, 1, TOKENS, 2, 8, generator=generator)
        clean = (1 - smooth) * clean + smooth * clean[:, :, :1]
        for step in steps(GEOMETRY, chunk, PASSES):
            noise = torch.randn(clean.shape, generator=generator)
            noise *= 1 - step.denoise_index / (PASSES - 1)
            yield step, *(clean + noise).bfloat16()


def study(bits, smooth, refresh_only):
    """The loop: the decoded allocation after each chunk."""
    dense = torch.zeros(2, 1, CHUNKS * TOKENS, 2, 8, dtype=torch.bfloat16)
    for step, _, k, v in passes(smooth):
        dense[:, :, step.start : step.stop] = torch.stack([k, v])
        if step.is_context or not refresh_only:
            dense = torch.stack([asym_keys(dense[0], bits), asym(dense[1], bits, (2, 3))])
        if step.is_context:
            yield dense.clone()


def ours(method, integration, smooth):
    policy = integrate(build_registry().policy(method), integration)
    session = CacheSession(policy, GEOMETRY, kernel="reference", planned_frames=3 * CHUNKS)
    for step, q, k, v in passes(smooth):
        session.begin_pass(step)
        session.attend(0, q, k, v)
        if step.is_context:
            content = session.layers[0].materialise(CHUNKS * TOKENS)
            yield torch.stack([content.k, content.v])


@pytest.mark.parametrize("bits", [2, 4])
@pytest.mark.parametrize("smooth", [0.0, 0.9])
@pytest.mark.parametrize("cadence", ["", "+refresh()"])
def test_equals_the_study_s_loop(bits, smooth, cadence):
    method = f"kivi(bits={bits}, zero_point='clamped'){cadence}"
    expected = study(bits, smooth, refresh_only=bool(cadence))
    for have, want in zip(ours(method, "reconstruct", smooth), expected, strict=True):
        assert torch.equal(have, want)


def test_the_clamped_zero_point_ruins_old_keys_and_the_exact_one_does_not():
    """Known defects D2 and D3 together: relative error of the first whole group, chunk by chunk."""
    clean = next(k for step, _, k, _ in passes(0.9) if step.is_context)[:, :16].float()

    def errors(zero_point, integration):
        method = f"kivi(bits=4, zero_point='{zero_point}')"
        kept = (content[0, :, :16].float() for content in ours(method, integration, 0.9))
        return [((k - clean).norm() / clean.norm()).item() for k in kept]

    assert errors("clamped", "reconstruct")[-1] > 0.5
    assert errors("exact", "reconstruct")[-1] < 0.05
    once = errors("exact", "streaming")
    assert once[-1] == once[0] < 0.05
