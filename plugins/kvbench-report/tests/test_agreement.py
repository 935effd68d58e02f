"""Correlations against scipy, the published ones, and comparisons through the command."""

from __future__ import annotations

import json

import numpy as np
import pytest
from attrs import evolve
from click.testing import CliRunner
from made_runs import MadeRun, environment
from scipy import stats

from kvbench_core.cli import main
from kvbench_report.agreement import agreements, common_methods
from kvbench_report.published_results import published_results
from kvbench_report.run_results import read_run

MOVIE, STORY = published_results("moviegen"), published_results("storyeval")
STATED = {"compression ratio": 4, "runtime": 4, "peak memory": 5, "imaging quality": 4,
          "drift-last": 4}  # fmt: skip
RECOMPUTED = {
    # quantity: Pearson, without BF16, Spearman, methods
    "compression ratio": (0.999907, 0.999901, 1.0000, 30),
    "runtime": (0.999635, 0.999638, 0.9978, 30),
    "peak memory": (0.999986, 0.999986, 1.0000, 30),
    "imaging quality": (0.931814, 0.930391, 0.9657, 30),
    "drift-last": (0.937416, 0.936059, 0.9715, 30),
    "SSIM": (0.987636, 0.985220, 0.9844, 30),
    "LPIPS": (0.989155, 0.989866, 0.9697, 30),
    "PSNR": (0.994286, 0.994286, 0.9662, 21),
}


def kvbench(*words: object):
    return CliRunner().invoke(main, [str(word) for word in words])


def test_published_correlations_are_the_papers():
    rows = {row["quantity"]: row for row in json.loads(
        kvbench("published", "correlations", "--json").stdout)}  # fmt: skip
    for name, digits in STATED.items():
        assert rows[name]["reproduced"] is True
        assert len(rows[name]["stated"]) == digits + 2
    for name, (pearson, without, spearman, methods) in RECOMPUTED.items():
        row = rows[name]
        assert row["pearson"] == pytest.approx(pearson, abs=6e-7)
        assert row["pearson_without_bf16"] == pytest.approx(without, abs=6e-7)
        assert row["spearman"] == pytest.approx(spearman, abs=6e-5)
        assert len(row["methods"]) == methods
    assert all(row["reproduced"] is None for name, row in rows.items() if name not in STATED)


def test_published_correlations_as_a_table():
    text = kvbench("published", "correlations").stdout
    assert " NO" not in text
    (line,) = [line for line in text.splitlines() if line.startswith("peak memory")]
    figures = ["30", "0.999986", "0.99999", "yes", "0.999986", "1.0000"]
    assert line.split() == ["peak", "memory", *figures]


def test_correlations_are_scipys():
    for found in agreements(MOVIE, STORY, common_methods(MOVIE, STORY)):
        x = [MOVIE.level(found.here.name)[MOVIE.row(name)] for name in found.methods]
        y = [STORY.level(found.there.name)[STORY.row(name)] for name in found.methods]
        assert found.pearson == pytest.approx(stats.pearsonr(x, y).statistic, abs=1e-12)
        assert found.spearman.value == pytest.approx(stats.spearmanr(x, y).statistic, abs=1e-12)
        assert found.spearman.low is None  # means alone, no prompts to draw


def make(root, methods, prompts, seed=0, shift=0.0, **request):
    """A run whose SSIM of method i is about i/10."""
    random = np.random.default_rng(seed)
    made = MadeRun(root, ["BF16", *methods], prompts, **request)
    for prompt in prompts:
        made.cell("BF16", prompt)
        for place, name in enumerate(methods):
            made.cell(name, prompt, ratio=1.5 + place, peak=900 - 10 * place,
                      runtime=1.0 + place,
                      scores={"ssim": 0.1 * place + random.normal(shift, 0.05),
                              "stlpips": 0.5 - 0.05 * place})  # fmt: skip
    return made


METHODS = ["RTN_INT2", "RTN_INT4", "KIVI_INT4", "PRQ_INT4"]


@pytest.fixture
def run(tmp_path):
    return make(tmp_path / "run", METHODS, ["p", "q", "r", "s"])


def test_a_run_against_a_published_table(run):
    done = kvbench("compare", run.store.root, "--published", "moviegen", "--json")
    data = json.loads(done.stdout)
    rows = {row["quantity"]: row for row in data["quantities"]}
    assert set(rows["SSIM"]["methods"]) == {"BF16", *METHODS}
    assert rows["LPIPS"]["here"] == "stlpips"
    assert rows["LPIPS"]["there"] == "lpips"
    ours = [1.0, *(np.mean(run_values(run, name)) for name in METHODS)]
    theirs = [MOVIE.level("ssim")[MOVIE.row(name)] for name in ("BF16", *METHODS)]
    assert rows["SSIM"]["spearman"] == pytest.approx(stats.spearmanr(ours, theirs).statistic)
    assert rows["SSIM"]["spearman_low"] <= rows["SSIM"]["spearman"]
    assert len(data["only_there"]) == 28
    assert "generator: toy | Self-Forcing, Wan2.1 1.3B" in data["differing_settings"]


def run_values(run, name):
    results = read_run(run.store.root)
    return results.values["ssim"][results.row(name)]


def test_the_interval_is_that_of_a_naive_loop(run):
    results = read_run(run.store.root)
    pairs = common_methods(results, MOVIE)
    (found,) = [a for a in agreements(results, MOVIE, pairs) if a.name == "SSIM"]
    random = np.random.default_rng(5)
    theirs = [MOVIE.level("ssim")[j] for _, j in pairs]
    drawn = []
    for _ in range(1000):
        picked = random.integers(0, 4, 4)
        ours = [results.values["ssim"][i][picked].mean() for i, _ in pairs]
        drawn.append(stats.spearmanr(ours, theirs).statistic)
    low, high = np.percentile(drawn, [2.5, 97.5])
    assert (found.spearman.low, found.spearman.high) == pytest.approx((low, high), abs=0.11)


def test_one_prompt_gives_no_interval(tmp_path):
    made = make(tmp_path / "run", METHODS, ["p"])
    done = kvbench("compare", made.store.root, "--published", "storyeval", "--json")
    rows = json.loads(done.stdout)["quantities"]
    assert all(row["spearman_low"] is None for row in rows)


def test_only_the_same_prompts_are_drawn_together(tmp_path):
    """Equal figures agree in each draw if the prompts are the same, else only on the whole."""
    here = read_run(make(tmp_path / "a", METHODS, ["p", "q", "r"], shift=0.3).store.root)
    same = read_run(make(tmp_path / "b", METHODS, ["p", "q", "r"], shift=0.3).store.root)
    values = {"ssim": here.values["ssim"].copy()}
    values["ssim"][1:] = np.random.default_rng(1).random((4, 3))
    here = evolve(here, values={**here.values, **values})
    same = evolve(same, values={**same.values, **values})
    other = evolve(same, prompts=("x", "y", "z"))
    lows = []
    for there in (same, other):
        found = {a.name: a for a in agreements(here, there, common_methods(here, there))}
        assert found["SSIM"].spearman.value == pytest.approx(1)
        lows.append(found["SSIM"].spearman.low)
    assert lows[0] == pytest.approx(1)
    assert lows[1] < 0.95


def test_a_run_differs_from_itself_in_nothing(run):
    done = kvbench("compare", run.store.root, run.store.root)
    assert "differs:" not in done.stdout
    assert "only in" not in done.stdout


def test_two_runs_say_what_was_different(tmp_path):
    one = make(tmp_path / "a" / "run", METHODS, ["p", "q"])
    other = make(tmp_path / "b" / "run", [*METHODS[::-1], "QAQ_INT4"], ["p", "q", "r"], seed=9,
                 frames=9, device="cuda (H200)")  # fmt: skip
    other.environment = environment(torch="2.14")
    other.cell("RTN_INT4", "p")
    done = kvbench("compare", one.store.root, other.store.root)
    assert done.exit_code == 0, done.output
    for text in (f"{one.store.root} | {other.store.root}: 5 methods in common",
                 f"only in {other.store.root}: QAQ_INT4",
                 "differs: latent frames: 6 | 9",
                 "differs: device: cpu | cpu, cuda (H200)",
                 "ranks that differ most"):  # fmt: skip
        assert text in done.stdout, text


def test_two_runs_match_by_what_was_run_not_by_its_name(tmp_path):
    one = make(tmp_path / "a", METHODS, ["p"])
    other = make(tmp_path / "b", METHODS, ["p"])
    renamed = [
        evolve(m, label="mine") if m.label == "RTN_INT2" else m for m in other.manifest.methods
    ]
    other.store.update(lambda manifest: evolve(manifest, methods=renamed))
    here, there = read_run(one.store.root), read_run(other.store.root)
    assert len(common_methods(here, there)) == 5
    assert there.names[1] == "mine"


def test_a_methods_other_integration_meets_the_published_row_on_demand(tmp_path):
    made = make(tmp_path / "run", ["RTN_INT4", "RTN_INT4@reconstruct"], ["p"])
    results = read_run(made.store.root)
    for integration, name in (("streaming", "RTN_INT4"), ("reconstruct", "RTN_INT4@reconstruct")):
        pairs = common_methods(results, MOVIE, integration)
        assert name in [results.names[i] for i, _ in pairs]
        assert len(pairs) == 2


def test_one_quantity_with_its_ranks(run):
    done = kvbench("compare", run.store.root, "--published", "moviegen", "--column", "ssim")
    first = done.stdout.partition("\n\n")[2].splitlines()[2].split()
    assert (first[0], first[-2:]) == ("BF16", ["1", "1"])
    wrong = kvbench("compare", run.store.root, "--published", "moviegen", "--column", "sim")
    assert wrong.exit_code == 2
    assert "no quantity of both is called 'sim'; did you mean SSIM?" in wrong.stderr


def test_equal_figures_have_no_correlation(tmp_path):
    made = make(tmp_path / "run", METHODS, ["p"])
    for prompt in ("p",):
        for name in ("BF16", *METHODS):
            made.cell(name, prompt, runtime=0.6)
    results = read_run(made.store.root)
    found = {a.name: a for a in agreements(results, MOVIE, common_methods(results, MOVIE))}
    assert found["runtime"].pearson is None
    assert found["runtime"].spearman.value is None
    assert kvbench("compare", made.store.root, "--published", "moviegen").exit_code == 0


@pytest.mark.parametrize("words", [(), ("--published", "moviegen", "x")])
def test_the_other_side_is_one_thing(run, words):
    done = kvbench("compare", run.store.root, *words)
    assert done.exit_code == 2
    assert "one of them" in done.stderr
