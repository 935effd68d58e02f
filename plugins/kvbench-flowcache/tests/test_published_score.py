"""``score='published'`` under ``@reconstruct`` against the study's loop, written out.

The loop, for each pass over a chunk: decode the allocation, put the fresh K and V in place, attend
to the window, score and plan on what is there (D9, D12), and code all of it again. With 16 tokens
a frame a group of the study, which runs through a tier, is one of ours.
"""

from __future__ import annotations

import math

import pytest
import torch

from kvbench_core.conformance.inputs import steps
from kvbench_core.errors import CacheError
from kvbench_core.geometry import CacheGeometry
from kvbench_core.integration import integrate
from kvbench_core.registry import build_registry
from kvbench_core.session import CacheSession
from kvbench_flowcache.score import PublishedChange, Recency

CHUNKS, PASSES, FRAME = 8, 5, 16
GEOMETRY = CacheGeometry(
    layers=1, heads=2, head_dim=8, grid=(4, 4), chunk_frames=3, window_frames=15
)
PUBLISHED = "score='published', layer_budgets='even'"
METHODS = {
    "FLOWCACHE_ADAPTIVE_INT2": {"bits": (4, 4, 2), "important": 0.2},
    "FLOWCACHE_PRUNE_INT2": {"bits": (4, 4, 2), "important": 0.1, "retained": 0.3},
    "FLOWCACHE_PRUNE_INT4": {"bits": (4, 4, 4), "important": 0.1, "retained": 0.45},
    "FLOWCACHE_SOFT_PRUNE_INT2": {"bits": (4, 4, 2), "important": 0.1, "retained": 0.45, "soft": 1},
}


def passes():
    """q, k, v of every pass with its step; frames differ in size, noisy passes in content."""
    generator = torch.Generator().manual_seed(5)
    for chunk in range(CHUNKS):
        sizes = torch.rand(1, 3 * FRAME, 2, 1, generator=generator) * 2 + 0.2
        clean = torch.randn(2, 1, 3 * FRAME, 2, 8, generator=generator) * sizes
        for step in steps(GEOMETRY, chunk, PASSES):
            noise = torch.randn(3, 1, 3 * FRAME, 2, 8, generator=generator)
            noise[1:] = clean + noise[1:] * (PASSES - 1 - step.denoise_index) / PASSES
            yield step, *noise.bfloat16()


def sym(frame, bits):
    qmax = 2 ** (bits - 1) - 1
    scale = (frame.abs().amax(1, keepdim=True) / qmax).clamp(min=1e-8)
    return ((frame / scale).round().float() * scale.half().float()).bfloat16()


class Study:
    """The study's chunk policies for one layer."""

    def __init__(self, bits, important, retained=None, soft=False):
        self.bits, self.important, self.retained, self.soft = bits, important, retained, soft
        self.plan, self.previous, self.largest_score = None, None, 0.0

    def deltas(self, dense, n):
        summaries = [
            [
                dense[0][:, f * FRAME : (f + 1) * FRAME, h].float().abs().mean()
                + dense[1][:, f * FRAME : (f + 1) * FRAME, h].float().abs().mean()
                for h in range(2)
            ]
            for f in range(n)
        ]
        deltas = []
        for f in range(n):
            partner = f - n + len(self.previous or [])  # aligned at their ends
            if self.previous is None or partner < 0:
                deltas.append(1.0)
                continue
            before, now = self.previous[partner], summaries[f]
            change = sum(abs(a - b) for a, b in zip(now, before, strict=True)) / 2
            deltas.append(float(change / max(sum(before) / 2, 1e-6)))
        self.previous = summaries
        self.largest_score = max(self.largest_score, *deltas)
        return deltas

    def tiers(self, dense, n):
        """Tier of each frame: 0 newest, 1 important, 2 old or retained, 3 pruned."""
        if self.retained is not None and self.plan is not None and len(self.plan) == n:
            return self.plan
        deltas = self.deltas(dense, n)
        newest = max(1, round(0.25 * n))
        old = list(range(n - newest))
        old.sort(key=lambda f: -(0.7 * deltas[f] + 0.3 * f / (n - 1)))
        important = min(len(old), max(1, round(self.important * len(old))))
        rest = len(old) - important
        keep = rest if self.retained is None else min(rest, max(1, round(self.retained * rest)))
        plan = [0] * n
        for place, frame in enumerate(old):
            plan[frame] = 1 if place < important else 2 if place < important + keep else 3
        self.plan = plan
        return plan

    def coded(self, dense, n):
        tiers = self.tiers(dense, n)
        for x in dense:
            for frame, tier in enumerate(tiers):
                part = x[:, frame * FRAME : (frame + 1) * FRAME]
                if tier < 3:
                    part.copy_(sym(part, self.bits[tier]))
                elif self.soft:
                    part.copy_(part.float().mean(1, keepdim=True).bfloat16().expand_as(part))
                else:
                    part.zero_()


def attention(q, k, v):
    q, k, v = (x[0].transpose(0, 1).double() for x in (q, k, v))
    weights = (q @ k.mT / math.sqrt(q.shape[-1])).softmax(-1)
    return (weights @ v).transpose(0, 1)[None]


@pytest.mark.parametrize("method", METHODS)
def test_equals_the_study_s_loop(method):
    study = Study(**METHODS[method])
    policy = integrate(build_registry().policy(f"{method}({PUBLISHED})"), "reconstruct")
    session = CacheSession(policy, GEOMETRY, kernel="reference", planned_frames=3 * CHUNKS)
    dense = torch.zeros(2, 1, CHUNKS * 3 * FRAME, 2, 8, dtype=torch.bfloat16)
    pruned = set()
    for step, q, k, v in passes():
        span = slice(step.start, step.stop)
        dense[0][:, span], dense[1][:, span] = k, v
        window = slice(max(0, step.stop - 15 * FRAME), step.stop)
        want = attention(q, dense[0][:, window], dense[1][:, window])
        session.begin_pass(step)
        have = session.attend(0, q, k, v)
        torch.testing.assert_close(have.double(), want, atol=0.02, rtol=0.02)
        study.coded(dense, 3 * (step.chunk + 1))
        content = session.layers[0].materialise(dense.shape[2])
        for kept, expected in zip((content.k, content.v), dense, strict=True):
            torch.testing.assert_close(kept, expected, atol=1e-6, rtol=2**-7)
        pruned |= {frame for frame, tier in enumerate(study.plan) if tier == 3}
    zombies = [frame for frame in pruned if study.plan[frame] < 3]
    if method.startswith("FLOWCACHE_PRUNE"):
        assert zombies, "frames of zeros are kept at 4 bits (D9.5)"
        assert study.largest_score > 1e4, "their partners score as if all had changed (D9.3)"


def test_streaming_never_brings_a_frame_back():
    policy = build_registry().policy(f"FLOWCACHE_PRUNE_INT2({PUBLISHED})")
    session = CacheSession(policy, GEOMETRY, kernel="reference")
    gone = set()
    for step, q, k, v in passes():
        session.begin_pass(step)
        session.attend(0, q, k, v)
        levels = session.layers[0]._levels
        assert all(levels[frame] == 3 for frame in gone)
        gone |= {frame for frame, level in enumerate(levels) if level == 3}
    assert gone


def test_misalignment():
    """Unchanged frames look changed, and the oldest get the newcomers' placeholder (D9.1)."""
    score = PublishedChange(alpha=1.0, beta=0.0)
    old = torch.rand(6, 4) + 1
    assert score.scores(6, old) == [1.0] * 6
    new = torch.rand(3, 4) + 1
    scores = score.scores(9, torch.cat([old, new]))
    assert scores[:3] == [1.0] * 3
    assert all(0 < value < 1 for value in scores[3:])
    assert score.scores(9, torch.cat([old, new])) == [0.0] * 9, "the same frames again"


def test_recency_is_what_is_left_when_old_frames_do_not_change():
    geometry = CacheGeometry(layers=1, heads=1, head_dim=8, grid=(1, 1), window_frames=9)
    scores = Recency(geometry).scores(12, None)
    assert scores == sorted(scores)
    published = PublishedChange(alpha=0.0, beta=0.3).scores(12, torch.ones(12, 1))
    assert sorted(range(12), key=scores.__getitem__) == sorted(range(12), key=published.__getitem__)


def test_the_mean_of_a_frame_out_of_reach_still_counts():
    """``window()`` would free what is scored later."""
    policy = build_registry().policy(f"FLOWCACHE_SOFT_PRUNE_INT4({PUBLISHED})+window()")
    with pytest.raises(CacheError, match=r"with window\(\) use score='recency'"):
        CacheSession(policy, GEOMETRY)
