"""The presets, their sizes, and ``reconstruct`` against the study's loop written out."""

from __future__ import annotations

import pytest
import torch

from kvbench_core.budget import footprint
from kvbench_core.conformance.inputs import Inputs
from kvbench_core.conformance.rollout import open_session, play, run_pass
from kvbench_core.errors import PluginError
from kvbench_core.geometry import CacheGeometry
from kvbench_core.integration import integrate
from kvbench_core.naming import split_integration
from kvbench_core.plugins import Plugins, load_plugins
from kvbench_core.registry import build_registry
from kvbench_core.specs import PolicySpec

FG4_BG2 = "SPATIAL_MIXED_FG_RTN_INT4_BG_RTN_INT2"
FG4_BG4 = "SPATIAL_MIXED_FG_RTN_INT4_BG_RTN_INT4"
KIVI = "SPATIAL_MIXED_FG_KIVI_INT4_BG_KIVI_INT2"
QUAROT = "SPATIAL_MIXED_FG_QUAROT_KV_INT4_BG_RTN_INT2"

# 16 frames, so that every part is whole groups of 16 tokens, as the study's padding made it.
GEOMETRY = CacheGeometry(layers=1, heads=2, head_dim=8, grid=(4, 5), chunk_frames=2)
CHUNKS, POSITIONS = 8, 20


@pytest.fixture(scope="module")
def registry():
    return build_registry()


def sym(x, bits):
    """SYM(bits) over blocks of 16 tokens, decoded to x's dtype."""
    qmax = 2 ** (bits - 1) - 1
    blocks = x.unflatten(1, (-1, 16))
    scale = (blocks.abs().amax(2, keepdim=True) / qmax).clamp(min=1e-8)
    codes = (blocks / scale).round().clamp(-qmax - 1, qmax)
    return (codes.float() * scale.half().float()).to(x.dtype).flatten(1, 2)


def study_mask(v, policy, low, target, high):
    """Steps 1 to 5 of the study for one tensor of the planned length."""
    m = v.float().abs().unflatten(1, (-1, POSITIONS)).mean((0, 3, 4))
    variance = m.var(0, correction=0)
    lo, hi = max(1, round(low * POSITIONS)), round(high * POSITIONS)
    keep, over = round(target * POSITIONS), int((variance > 0.02).sum())
    if policy == "hybrid" and lo <= over <= hi:
        keep = over
    mask = torch.zeros(POSITIONS, dtype=torch.bool)
    mask[variance.topk(keep).indices] = True
    return mask.repeat(v.shape[1] // POSITIONS)


def study(inputs, mask_arguments, foreground_bits, background_bits):
    """The dense allocation after each clean pass."""
    k, v = torch.zeros(2, 1, CHUNKS * 2 * POSITIONS, 2, 8).bfloat16()
    caches = []
    for chunk in range(CHUNKS):
        for step in inputs.steps(chunk):
            _, fresh_k, fresh_v = inputs.at(0, step)
            k[:, step.start : step.stop] = fresh_k
            v[:, step.start : step.stop] = fresh_v
            mask = study_mask(v, *mask_arguments)
            for x in (k, v):
                x[:, mask] = sym(x[:, mask], foreground_bits)
                x[:, ~mask] = sym(x[:, ~mask], background_bits)
        caches.append((k.clone(), v.clone()))
    return caches


@pytest.mark.parametrize(
    ("method", "mask_arguments", "bits"),
    [
        (FG4_BG2, ("hybrid", 0.45, 0.65, 0.85), (4, 2)),
        (FG4_BG4, ("hybrid", 0.45, 0.65, 0.85), (4, 4)),
        (f"{FG4_BG2}(policy='top-k')", ("top-k", 0.45, 0.65, 0.85), (4, 2)),
    ],
)
def test_reconstruct_is_the_study_s_loop(registry, method, mask_arguments, bits):
    """One mask for the zero-padded allocation at every write, and all of it coded again (D11)."""
    inputs = Inputs.make(GEOMETRY, chunks=CHUNKS)
    session = open_session(integrate(registry.policy(method), "reconstruct"), inputs)
    for chunk, (k, v) in enumerate(study(inputs, mask_arguments, *bits)):
        for step in inputs.steps(chunk):
            run_pass(session, inputs, step)
        content = session.layers[0].materialise(inputs.tokens)
        assert torch.equal(content.k, k)
        assert torch.equal(content.v, v)


def relative_error(have, want):
    return ((have - want).norm() / want.norm()).item()


def test_streaming_keeps_what_reconstruct_wears_out(registry):
    """D11: with 4 bits on both sides the study's oldest chunk ends far from RTN_INT4's error."""
    errors = {}
    for method in (FG4_BG4, f"{FG4_BG4}@reconstruct", "RTN_INT4"):
        inputs = Inputs.make(GEOMETRY, chunks=CHUNKS)
        name, integration = split_integration(method)
        played = play(integrate(registry.policy(name), integration), inputs)
        oldest = slice(0, GEOMETRY.tokens_per_chunk)
        content = played.contents[-1][0].k[:, oldest]
        errors[method] = relative_error(content.float(), inputs.k[0][:, oldest].float())
    assert errors[FG4_BG4] == pytest.approx(errors["RTN_INT4"], rel=0.1)
    assert errors[f"{FG4_BG4}@reconstruct"] > 1.5 * errors["RTN_INT4"]


@pytest.mark.parametrize(
    ("method", "published", "share"),
    [
        (FG4_BG2, 3.6834, 0.660),
        (FG4_BG4, 3.1843, 0.660),
        (KIVI, 3.4528, 0.8),
        (QUAROT, 3.4606, 0.8),
    ],
)
def test_ratio_at_the_published_foreground_share(registry, method, published, share):
    policy = registry.policy(f"{method}(target_share={share})")
    ratio = footprint(policy, registry.backend("wan-1.3b"), 42).compression_ratio
    assert published <= ratio < 1.01 * published


def test_presets_are_the_study_s_family(registry):
    names = [
        n for n, entry in registry.all(PolicySpec).items() if entry.spec.family == "SPATIAL_MIXED"
    ]
    assert names == [FG4_BG2, FG4_BG4, KIVI, QUAROT]
    assert set(names) <= set(registry.select(["study"]))


def test_a_missing_codec_names_the_package(monkeypatch):
    plugins = load_plugins()
    left = [p for p in plugins.loaded if p.package not in ("kvbench-kivi", "kvbench-quarot")]
    monkeypatch.setattr(
        "kvbench_core.registry.distributions",
        lambda: [d for d in _distributions() if d.name not in ("kvbench-kivi", "kvbench-quarot")],
    )
    with pytest.raises(PluginError) as caught:
        build_registry(Plugins(tuple(left), ())).policy(KIVI)
    assert str(caught.value) == (
        f"{KIVI} needs the part 'kivi', which no plugin provides; "
        "install kvbench-kivi and kvbench-quarot"
    )


def _distributions():
    from importlib.metadata import distributions

    return list(distributions())
