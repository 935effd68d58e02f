"""Tier sizes and membership against the published rules, written out slowly."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvbench_flowcache.plan import Level, Shares, assign

PRUNE = {
    3: ((1, 1, 1, 0), (1, 1, 1, 0)),
    6: ((2, 1, 1, 2), (2, 1, 1, 2)),
    12: ((3, 1, 4, 4), (3, 1, 2, 6)),
    21: ((5, 2, 6, 8), (5, 2, 4, 10)),
    30: ((8, 2, 9, 11), (8, 2, 6, 14)),
    42: ((10, 3, 13, 16), (10, 3, 9, 20)),
}
"""Newest, important, retained, pruned at scale 1 and retained shares .45 and .30."""
ADAPTIVE = {3: (1, 1, 1), 6: (2, 1, 3), 12: (3, 2, 7), 21: (5, 3, 13), 30: (8, 4, 18)}


def counts(shares, frames, scale=1.0):
    kept = tuple(shares.sizes(frames, scale).values())
    return (*kept, frames - sum(kept))


@pytest.mark.parametrize("frames", PRUNE)
def test_published_sizes(frames):
    for retained, expected in zip((0.45, 0.30), PRUNE[frames], strict=True):
        shares = Shares(newest=0.25, important=0.1, retained=retained)
        assert counts(shares, frames) == expected


@pytest.mark.parametrize("frames", ADAPTIVE)
def test_published_sizes_without_pruning(frames):
    expected = (*ADAPTIVE[frames], 0)
    assert counts(Shares(newest=0.25, important=0.2), frames) == expected


share = st.floats(0.001, 1)
shares = st.builds(Shares, newest=share, important=st.none() | share, retained=st.none() | share)
scale = st.floats(0.01, 10)


@given(shares, st.integers(1, 60), scale)
def test_sizes_by_the_formula(shares, frames, scale):
    newest, important, retained, pruned = counts(shares, frames, scale)
    assert newest == min(frames, max(1, round(min(shares.newest * scale, 1) * frames)))
    old = frames - newest
    wanted = 0 if shares.important is None else max(1, round(shares.important * scale * old))
    assert important == min(old, wanted)
    rest = old - important
    wanted = rest if shares.retained is None else max(1, round(shares.retained * scale * rest))
    assert retained == min(rest, wanted)
    assert pruned == rest - retained >= 0


def slow_plan(held, sizes, scores):
    """Tier by tier, one frame at a time."""
    frames = len(held)
    newest = frames - sizes[Level.NEWEST]
    plan = {frame: held[frame] for frame in range(newest, frames)}
    for level in (Level.IMPORTANT, Level.RETAINED):
        for _ in range(sizes[level]):
            able = [f for f in range(newest) if f not in plan and held[f] <= level]
            if able:
                plan[max(able, key=lambda f: (scores[f], f))] = level
    return [plan.get(frame, Level.PRUNED) for frame in range(frames)]


@given(st.data())
def test_membership(data):
    frames = data.draw(st.integers(1, 30))
    each = {"min_size": frames, "max_size": frames}
    held = data.draw(st.lists(st.sampled_from(list(Level)), **each))
    scores = data.draw(st.lists(st.floats(0, 2), **each))
    sizes = data.draw(shares).sizes(frames, data.draw(scale))
    assert assign(held, sizes, scores) == slow_plan(held, sizes, scores)


@given(shares, st.floats(0.3, 2), st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_over_a_rollout_frames_only_move_down(shares, scale, chunk_frames, seed):
    held = []
    for chunk in range(12):
        held = [*held, *[Level.NEWEST] * chunk_frames]
        scores = [hash((seed, chunk, frame)) % 97 / 97 for frame in range(len(held))]
        plan = assign(held, shares.sizes(len(held), scale), scores)
        assert all(before <= after for before, after in zip(held, plan, strict=True))
        held = plan


@given(
    st.floats(0.05, 0.6), st.floats(0.05, 0.6), st.floats(0.05, 0.9), st.floats(0.7, 1.3), st.data()
)
def test_over_a_rollout_sizes_stay_as_the_formula_has_them(
    newest, important, retained, scale, data
):
    """What a lower tier took does not come back, and nobody needs it to."""
    shares, held = Shares(newest=newest, important=important, retained=retained), []
    for _ in range(14):
        held = [*held, *[Level.NEWEST] * 3]
        sizes = shares.sizes(len(held), scale)
        scores = data.draw(st.lists(st.floats(0, 1), min_size=len(held), max_size=len(held)))
        held = assign(held, sizes, scores)
        assert all(held.count(level) == size for level, size in sizes.items())
