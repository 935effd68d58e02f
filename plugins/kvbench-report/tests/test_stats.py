"""Intervals and paired differences against naive loops and against scipy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats as scipy_stats

from kvbench_report.published_results import published_results
from kvbench_report.results import Column, MethodInfo, Results
from kvbench_report.stats import bootstrap, differences, estimates

NAN = np.nan


def results(values, over="mean") -> Results:
    values = np.array(values, dtype=float)
    return Results(
        title="made",
        methods=tuple(
            MethodInfo(name=f"m{i}", label=f"m{i}", expression=f"m{i}()", integration="streaming",
                       is_reference=i == 0, prompts=values.shape[1])
            for i in range(len(values))
        ),
        prompts=tuple(f"p{i}" for i in range(values.shape[1])),
        columns={"c": Column(name="c", unit="", better="higher", summary="c", over_prompts=over)},
        values={"c": values},
        settings={},
    )  # fmt: skip


def naive(values, draws=4000):
    """Percentile interval of the mean, one draw at a time."""
    random = np.random.default_rng(1)
    means = []
    for _ in range(draws):
        picked = [values[i] for i in random.integers(0, len(values), len(values))]
        known = [v for v in picked if not np.isnan(v)]
        if known:
            means.append(sum(known) / len(known))
    return np.percentile(means, [2.5, 97.5])


@pytest.mark.parametrize("prompts", [4, 10, 60])
def test_the_interval_is_that_of_a_naive_loop_and_of_scipy(prompts):
    values = np.random.default_rng(prompts).normal(0.6, 0.1, prompts)
    (found,) = bootstrap(values[None])
    theirs = scipy_stats.bootstrap((values,), np.mean, method="percentile", n_resamples=10_000,
                                   rng=np.random.default_rng(2)).confidence_interval  # fmt: skip
    assert found.value == pytest.approx(values.mean())
    assert (found.low, found.high) == pytest.approx(tuple(naive(values)), abs=0.006)
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), abs=0.004)


def test_missing_prompts_are_left_out():
    values = np.array([0.1, NAN, 0.5, 0.3, NAN, 0.2])
    (found,) = bootstrap(values[None])
    assert found.n == 4
    assert found.value == pytest.approx(0.275)
    assert (found.low, found.high) == pytest.approx(tuple(naive(values, 8000)), abs=0.02)


def test_one_prompt_gives_no_interval_and_none_gives_nothing():
    one, none = bootstrap(np.array([[0.5, NAN], [NAN, NAN]]))
    assert (one.value, one.low, one.high, one.n) == (0.5, None, None, 1)
    assert (none.value, none.low, none.n) == (None, None, 0)
    assert one.contains_zero is None


def test_equal_calls_give_equal_intervals():
    values = np.random.default_rng(0).normal(size=(2, 10))
    assert bootstrap(values) == bootstrap(values)


def test_differences_are_paired():
    """The same shift on every prompt is certain, however much the prompts differ."""
    base = np.random.default_rng(3).normal(0, 1, 8)
    made = results([base, base + 0.01, base + np.random.default_rng(4).normal(0, 0.1, 8)])
    none, shifted, noisy = differences(made, "c", 0)
    assert (none.value, none.contains_zero) == (0, True)
    assert (shifted.low, shifted.high) == pytest.approx((0.01, 0.01))
    assert shifted.contains_zero is False
    assert noisy.contains_zero is True
    wide, _, _ = estimates(made, "c")
    assert wide.high - wide.low > 0.5


def test_differences_use_the_prompts_that_both_have():
    made = results([[1, 2, NAN, 4], [2, NAN, 9, 7]])
    assert differences(made, "c", 0)[1].n == 2
    assert differences(made, "c", 0)[1].value == pytest.approx(2.0)


def test_infinite_values_have_no_difference_and_no_interval():
    made = results([[np.inf, np.inf, np.inf], [20.0, 30.0, 25.0]])
    reference, other = estimates(made, "c")
    assert (reference.value, reference.low) == (np.inf, None)
    assert other.low is not None
    assert [d.value for d in differences(made, "c", 0)] == [None, None]
    assert differences(made, "c", 1)[1].value == 0


def test_a_peak_is_a_maximum_without_interval():
    made = results([[10, 30, 20], [5, NAN, 12]], over="max")
    assert [(e.value, e.low, e.n) for e in estimates(made, "c")] == [(30, None, 3), (12, None, 2)]
    assert differences(made, "c", 0)[1].value == -18


def test_published_means_have_no_interval_but_their_number_of_prompts():
    published = published_results("moviegen")
    found = dict(zip(published.names, estimates(published, "ssim"), strict=True))
    assert (found["KIVI_K2_V4"].n, found["RTN_INT4"].n) == (3, 10)
    assert found["RTN_INT4"].low is None
    gap = differences(published, "ssim", published.reference)[published.row("RTN_INT4")]
    assert gap.value == pytest.approx(-0.312, abs=0.001)


def test_no_prompt_at_all():
    assert bootstrap(np.zeros((2, 0)))[0].value is None
    assert bootstrap(np.zeros((0, 3))) == []


def test_intervals_cover_the_true_mean_about_as_often_as_they_say():
    random = np.random.default_rng(11)
    found = bootstrap(random.exponential(1.0, (400, 40)))
    covered = np.mean([e.low <= 1.0 <= e.high for e in found])
    assert 0.88 < covered < 0.98
