"""Limits, orders and cards; the study's own answers on its own tables."""

from __future__ import annotations

import csv
import json
from importlib.resources import files

import numpy as np
import pytest
from click.testing import CliRunner
from made_runs import MadeRun

from kvbench_core.cli import main
from kvbench_report.axes import DRIFT, IMAGING, LPIPS, PEAK, RATIO, RUNTIME, SSIM
from kvbench_report.limits import (
    DRIFT_LOSS,
    LEAST_PSNR,
    LEAST_RATIO,
    LEAST_SSIM,
    LPIPS_LOSS,
    PEAK_CAP,
    RUNTIME_CAP,
    RUNTIME_RATIO,
    SSIM_LOSS,
    TOLERANCES,
    judge,
    quality_gate,
)
from kvbench_report.published_results import published_results
from kvbench_report.recommend import PRESETS, calibrated, cards, fitting, ranked
from kvbench_report.run_results import read_run

GIB = 2**30
CLIPPED = {SSIM_LOSS: 0.30, LPIPS_LOSS: 0.30, DRIFT_LOSS: 0.20}
"""How far the sliders of the study's dashboard go."""
TOP3 = {
    # benchmark, preset: the methods; the method recommended under these limits, clipped; the limits
    ("moviegen", "single-gpu"): (
        "PRUNE_INT2 PRUNE_INT4 SOFT_PRUNE_INT4", None,
        (75.00, 11.711, .543, .483, .106, 5.490, 15.26)),
    ("moviegen", "quality"): (
        "PRQ_INT4 PRQ_INT2 RTN_INT4_RECENT2", "PRQ_INT4",
        (159.97, 21.374, .268, .148, .0043, 1.600, 23.69)),
    ("moviegen", "long-horizon"): (
        "PRQ_INT2 PRQ_INT4 SOFT_PRUNE_INT4", "PRQ_INT2",
        (159.97, 20.686, .456, .298, .0011, 1.600, 17.67)),
    ("moviegen", "compression"): (
        "PRUNE_INT2 SOFT_PRUNE_INT2 PRUNE_INT4", None,
        (76.12, 11.711, .543, .483, .106, 5.498, 15.26)),
    ("storyeval", "single-gpu"): (
        "PRUNE_INT2 PRUNE_INT4 SOFT_PRUNE_INT4", None,
        (75.15, 11.756, .535, .506, .179, 5.424, 14.26)),
    ("storyeval", "quality"): (
        "PRQ_INT2 PRQ_INT4 RTN_INT4_RECENT2", "PRQ_INT2",
        (157.96, 21.374, .279, .188, .0115, 1.600, 20.66)),
    ("storyeval", "long-horizon"): (
        "PRQ_INT4 PRQ_INT2 QUAROT_KV_INT4", "PRQ_INT4",
        (239.58, 20.686, .315, .217, .0062, 1.600, 19.25)),
    ("storyeval", "compression"): (
        "PRUNE_INT2 SOFT_PRUNE_INT2 PRUNE_INT4", None,
        (74.38, 11.756, .535, .506, .179, 5.432, 14.18)),
}  # fmt: skip
LIMITED = (
    RUNTIME_CAP, PEAK_CAP, SSIM_LOSS, LPIPS_LOSS, DRIFT_LOSS, LEAST_RATIO, LEAST_PSNR,
)  # fmt: skip


def kvbench(*words: object):
    return CliRunner().invoke(main, [str(word) for word in words])


def compressed(results):
    return [row for row, method in enumerate(results.methods) if not method.is_reference]


@pytest.mark.parametrize(("benchmark", "preset"), TOP3)
def test_calibration_and_recommendation_are_the_studys(benchmark, preset):
    results = published_results(benchmark)
    names, chosen, figures = TOP3[benchmark, preset]
    best = ranked(results, PRESETS[preset], compressed(results))[:3]
    assert [results.names[row].removeprefix("FLOWCACHE_") for row in best] == names.split()
    limits = calibrated(results, preset)
    last_digit = (0.01, 0.001, 0.001, 0.001, 0.0001 if figures[4] < 0.05 else 0.001, 0.001, 0.01)
    for quantity, figure, digit in zip(LIMITED, figures, last_digit, strict=True):
        value = limits[quantity] / (GIB if quantity == PEAK_CAP else 1)
        assert value == pytest.approx(figure, abs=digit), quantity  # the table rounds upwards
    sliders = {q: min(v, CLIPPED.get(q, v)) for q, v in limits.items() if q != LEAST_PSNR}
    assert cards(results, sliders, preset)[0].method == chosen


@pytest.mark.parametrize(
    ("benchmark", "best"), [("moviegen", "PRQ_INT4"), ("storyeval", "PRQ_INT2")]
)
def test_the_studys_static_cards(benchmark, best):
    results = published_results(benchmark)
    assert fitting(results, TOLERANCES) == set()
    assert [card.method for card in cards(results, {}, "single-gpu")] == [
        "FLOWCACHE_PRUNE_INT2", "FLOWCACHE_PRUNE_INT2", "FLOWCACHE_NATIVE", best, "BF16",
    ]  # fmt: skip


def naive_order(results, preset):
    """The table of the study as one sort key, written out."""
    column = {name: results.level(name) for name in results.columns}
    drop = {name: column[name][results.reference] - column[name] for name in ("ssim", "drift_last")}
    keys = {
        "single-gpu": lambda i: (column["peak_bytes"][i], drop["ssim"][i], column["lpips"][i],
                                 drop["drift_last"][i]),
        "quality": lambda i: (drop["ssim"][i], column["lpips"][i], -column["psnr"][i]),
        "long-horizon": lambda i: (drop["drift_last"][i], drop["ssim"][i], column["lpips"][i]),
        "compression": lambda i: (
            -column["compression_ratio"][i] if column["compression_ratio"][i] > 0 else np.inf,
            drop["ssim"][i], column["lpips"][i]),
    }  # fmt: skip
    return sorted(range(len(results.methods)), key=keys[preset])


@pytest.mark.parametrize("benchmark", ["moviegen", "storyeval"])
@pytest.mark.parametrize("preset", PRESETS)
def test_presets_sort_as_the_study_says(benchmark, preset):
    results = published_results(benchmark)
    found = ranked(results, PRESETS[preset], range(len(results.methods)))
    assert found == naive_order(results, preset)


@pytest.mark.parametrize("benchmark", ["moviegen", "storyeval"])
@pytest.mark.parametrize(
    ("axis", "column", "sign"),
    [(RATIO, "compression_ratio", -1), (PEAK, "peak_vram_bytes", 1), (RUNTIME, "runtime_s", 1),
     (SSIM, "ssim", -1), (LPIPS, "lpips", 1), (IMAGING, "imaging_quality", -1),
     (DRIFT, "drift_last", -1)],
)  # fmt: skip
def test_the_order_on_each_axis_is_the_tables(benchmark, axis, column, sign):
    results = published_results(benchmark)
    text = (files("kvbench_core.published") / "data" / f"{benchmark}.csv").read_text()
    rows = list(csv.DictReader(text.splitlines()))
    known = [row for row in rows if row[column]]
    expected = [row["method"] for row in sorted(known, key=lambda row: sign * float(row[column]))]
    found = [results.names[row] for row in ranked(results, (axis,), range(len(rows)))]
    assert found[: len(known)] == expected


@pytest.mark.parametrize("benchmark", ["moviegen", "storyeval"])
def test_the_tables_are_printed_in_order_of_compression(benchmark):
    ratios = published_results(benchmark).level("compression_ratio")
    known = ratios[~np.isnan(ratios)]
    assert (np.diff(known) <= 1e-12).all()
    assert not np.isnan(ratios[: len(known)]).any()


def test_reasons_name_quantity_value_and_limit():
    results = published_results("moviegen")
    verdicts = dict(zip(results.names, judge(results, {
        PEAK_CAP: 12 * GIB, LEAST_SSIM: 0.5, RUNTIME_RATIO: 2.0, LEAST_RATIO: 1.5,
        DRIFT_LOSS: 0.01, LPIPS_LOSS: 0.4}), strict=True))  # fmt: skip
    assert verdicts["KIVI_K2_V4"].reasons == (
        "peak memory 22.67 GiB, over 12.00 GiB",
        "SSIM 0.3742, under 0.5000",
        "no compression ratio",
        "drift-last drop 0.1208, over 0.0100",
        "LPIPS increase 0.5783, over 0.4000",
    )
    assert verdicts["QUAROT_KV_INT4"].reasons == (
        "peak memory 19.98 GiB, over 12.00 GiB",
        "runtime / BF16 4.04, over 2.00",
    )
    assert verdicts["FLOWCACHE_SOFT_PRUNE_INT4"].reasons == ()


def test_a_bound_that_is_met_exactly_is_met():
    results = published_results("moviegen")
    row = results.row("RTN_INT4")
    exact = {LEAST_SSIM: float(results.level("ssim")[row])}
    assert row in fitting(results, exact)


def test_the_command_ranks_and_gives_reasons():
    done = kvbench("recommend", "--published", "moviegen", "--max-peak", "12GiB",
                   "--min-ssim", "0.45")  # fmt: skip
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    ranks = [line.split()[:2] for line in lines[2:6]]
    assert ranks == [["1", "FLOWCACHE_PRUNE_INT2"], ["2", "FLOWCACHE_PRUNE_INT4"],
                     ["3", "FLOWCACHE_SOFT_PRUNE_INT4"],
                     ["4", "FLOWCACHE_SOFT_PRUNE_INT2"]]  # fmt: skip
    assert "4 of 33 methods meet peak memory at most 12.00 GiB, SSIM at least 0.4500" in done.stdout
    (line,) = [line for line in lines if " RTN_INT4 " in line]
    assert line.rstrip().endswith("peak memory 19.98 GiB, over 12.00 GiB")
    free = kvbench("recommend", "--published", "moviegen").stdout
    assert "33 methods, no limits given (such as --max-peak 12GiB); sorted by" in free


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_through_the_command(preset):
    done = kvbench("recommend", "--published", "storyeval", "--preset", preset, "--calibrate",
                   "--json")  # fmt: skip
    data = json.loads(done.stdout)
    top = TOP3["storyeval", preset][0].split()
    without_bf16 = [name for name in data["ranking"] if name != "BF16"]
    assert [name.removeprefix("FLOWCACHE_") for name in without_bf16[:3]] == top
    assert {card["title"] for card in data["cards"]} >= {"recommended", "fastest", "reference"}


def test_rankings_under_one_limit():
    limits = ("--max-runtime", "60", "--min-psnr", "25")
    text = kvbench("recommend", "--published", "moviegen", *limits, "--rankings").stdout
    for title in ("quality under a runtime limit: runtime at most 60.00 s",
                  "compression within a PSNR limit: PSNR at least 25.00 dB"):  # fmt: skip
        assert title in text
    assert "memory limit" not in text
    block = text.partition("compression within a PSNR limit")[2].split("\n\n")[0]
    methods = [line.split()[0] for line in block.splitlines()[3:]]
    assert methods == ["QUAROT_KV_INT4_RECENT2", "PRQ_INT2", "PRQ_INT4", "BF16"]


@pytest.fixture
def made(tmp_path):
    made = MadeRun(tmp_path / "run", ["BF16", "A", "B"], ["p", "q", "r", "s"])
    for place, prompt in enumerate("pqrs"):
        made.cell("BF16", prompt, peak=4 * GIB)
        made.cell("A", prompt, ratio=4.0, peak=2 * GIB, runtime=1.5,
                  scores={"ssim": 0.55 + 0.05 * place, "stlpips": 0.1})  # fmt: skip
    made.cell("B", "p", ratio=2.0, peak=3 * GIB, scores={"ssim": 0.9})
    made.failed("B", "q")
    return made


def test_the_recommended_method_is_on_the_frontier_if_one_that_fits_is(made):
    """A has no drift figure, so it takes no part in the frontier, although it needs less memory."""
    for place, prompt in enumerate("pqrs"):
        scores = {"ssim": 0.9, "stlpips": 0.1}
        b = made.cell("B", prompt, ratio=2.0, peak=3 * GIB, scores=scores)
        made.score(b, "drift_last", 0.5 + place / 10)
    results = read_run(made.store.root)
    assert cards(results, {LEAST_SSIM: 0.6}, "single-gpu")[0].method == "B"
    assert cards(results, {LEAST_SSIM: 0.6, PEAK_CAP: 2.5 * GIB}, "single-gpu")[0].method == "A"


def test_a_limit_inside_the_interval_is_doubtful(made):
    results = read_run(made.store.root)
    verdict = judge(results, {LEAST_SSIM: 0.6})[1]
    assert verdict.reasons == ()
    assert verdict.doubts[0].startswith("SSIM 0.6250 [0.5")
    assert verdict.doubts[0].endswith("perhaps under 0.6000")
    assert judge(results, {LEAST_SSIM: 0.5})[1].doubts == ()


def test_a_run_without_some_metrics(made):
    done = kvbench("recommend", made.store.root, "--max-lpips", "0.2")
    assert done.exit_code == 0, done.output
    assert "ST-LPIPS stands in for LPIPS" in done.stdout
    assert "no figures of PSNR, imaging quality, drift-last" in done.stdout
    assert "no ST-LPIPS" in done.stdout  # method B
    assert "B on q: RuntimeError" in done.stderr


PIQE = ("PIQE drift-last increase is not judged: the study's tolerance of 0.02 is for the "
        "drift-last that it measured, on another scale")  # fmt: skip


@pytest.fixture
def stood_in(tmp_path):
    """A is good and B bad by SSIM; ST-LPIPS and PIQE, from 0 to 100, stand for LPIPS and drift."""
    made = MadeRun(tmp_path / "run", ["BF16", "A", "B"], ["p"])
    made.cell("BF16", "p", peak=4 * GIB, scores={"piqe_drift_last": 30.0})
    for name, ratio, ssim in (("A", 2.0, 0.98), ("B", 4.0, 0.7)):
        scores = {"ssim": ssim, "stlpips": 0.06, "piqe_drift_last": 30.5}
        made.cell(name, "p", ratio=ratio, peak=3 * GIB, scores=scores)
    return made


def test_a_stand_in_is_not_held_against_the_studys_tolerance(stood_in):
    """0.5 of PIQE's 100 is no drop of 0.5 in imaging quality, which goes from 0 to 1."""
    results = read_run(stood_in.store.root)
    gate, silent = quality_gate(results, {})
    assert gate == {SSIM_LOSS: 0.05, LEAST_RATIO: 1.10}
    assert silent[0].startswith("ST-LPIPS increase is not judged: the study's tolerance of 0.05")
    assert silent[1:] == [PIQE]
    aggressive = cards(results, {}, "single-gpu")[1]
    assert (aggressive.method, aggressive.cautions) == ("A", ())  # B has the larger ratio


def test_what_is_not_judged_is_said(stood_in):
    root = stood_in.store.root
    assert PIQE in kvbench("recommend", root).stdout.splitlines()
    assert PIQE in json.loads(kvbench("recommend", root, "--json").stdout)["notes"]
    kvbench("report", root)
    assert f"{PIQE}." in (root / "report" / "report.html").read_text().replace("&#39;", "'")
    own = kvbench("recommend", root, "--max-drift-drop", "0.4")
    assert PIQE not in own.stdout
    assert "PIQE drift-last increase 0.50, over 0.40" in own.stdout


def test_the_studys_own_scores_are_judged(stood_in):
    for name, drift in (("BF16", 0.70), ("A", 0.67), ("B", 0.69)):
        record = stood_in.store.cell(stood_in.key(name, "p").id)
        stood_in.score(record, "drift_last", drift)
    results = read_run(stood_in.store.root)
    gate, silent = quality_gate(results, {})
    assert gate == {SSIM_LOSS: 0.05, DRIFT_LOSS: 0.02, LEAST_RATIO: 1.10}
    assert len(silent) == 1
    assert [verdict.reasons for verdict in judge(results, gate)[1:]] == [
        ("drift-last drop 0.0300, over 0.0200",), ("SSIM drop 0.3000, over 0.0500",)]  # fmt: skip


def test_a_limit_on_what_nobody_measured_excludes_everyone(made):
    data = json.loads(kvbench("recommend", made.store.root, "--min-psnr", "30", "--json").stdout)
    assert data["ranking"] == []
    assert data["methods"]["A"]["reasons"] == ["no PSNR"]


def test_bf16_alone_recommends_nothing(tmp_path):
    made = MadeRun(tmp_path / "run", ["BF16"], ["p"])
    made.cell("BF16", "p")
    done = kvbench("recommend", made.store.root)
    assert done.exit_code == 0, done.output
    assert done.stdout.count("none qualifies") == 4


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--max-peak", "lots"), "'lots' is no amount of memory; write it like 24GiB"),
        (("--min-ssim", "nan"), "'nan' is no limit; write a number such as 0.6"),
        (("--min-ssim", "high"), "'high' is no limit"),
        (("--max-runtime=-3",), "'-3' is no limit"),
        (("--rankings",), "--rankings needs a limit, or --calibrate"),
    ],
)
def test_limits_that_are_none(words, message):
    done = kvbench("recommend", "--published", "moviegen", *words)
    assert done.exit_code == 2
    assert message in done.output


def test_the_two_best_are_compared_prompt_by_prompt(tmp_path):
    made = MadeRun(tmp_path / "run", ["BF16", "A", "B"], ["p", "q", "r"])
    for place, prompt in enumerate("pqr"):
        made.cell("BF16", prompt, peak=4 * GIB)
        made.cell("A", prompt, peak=1 * GIB, runtime=1.0, scores={"ssim": 0.5 + 0.1 * place})
        made.cell("B", prompt, peak=2 * GIB, runtime=3.0,
                  scores={"ssim": 0.5 + 0.1 * (2 - place)})  # fmt: skip
    text = kvbench("recommend", made.store.root).stdout
    assert "B minus A, paired by prompt" in text
    assert "runtime (s) +2.00 [+2.00, +2.00]\n" in text
    (line,) = [line for line in text.splitlines() if line.startswith("  SSIM ")]
    assert line.endswith(", not distinguishable")
