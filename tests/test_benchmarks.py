"""The scripts behind the measured pages, on small selections."""

from __future__ import annotations

import csv
import math
import re
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))  # benchmarks is no installed package

from benchmarks import (  # noqa: E402
    accumulated,
    defects,
    errors,
    full_size_page,
    methods,
    metrics,
    pages,
    ratios,
    stats,
    tiny_study,
)
from kvbench_core.published import (  # noqa: E402
    BENCHMARKS,
    drift_curve,
    layer_budgets,
    method_figures,
    trace_peaks,
)
from kvbench_core.registry import build_registry  # noqa: E402

DOCS = ROOT / "docs"
QUICK = (
    "BF16,KIVI,PRQ,QAQ,QUAROT,RTN,AGE_TIER,TPTQ,SPATIAL_MIXED,"
    "FLOWCACHE_PRUNE_INT2,FLOWCACHE_SOFT_PRUNE_INT4"
)


def call(script, *arguments, docs):
    result = CliRunner().invoke(script.main, [*arguments, "--docs", str(docs)])
    assert result.exit_code == 0, result.output
    return result.output


def table(page, name):
    """A block's first table as rows of texts by heading."""
    lines = [line for line in pages.block(page, name).splitlines() if line.startswith("|")]
    head, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines)
    return [dict(zip(head, row, strict=True)) for row in rows]


# The published figures


def test_published_rows():
    assert [len(method_figures(benchmark)) for benchmark in BENCHMARKS] == [33, 30]
    assert [len(trace_peaks(benchmark)) for benchmark in BENCHMARKS] == [33, 30]
    assert [len(layer_budgets(benchmark)) for benchmark in BENCHMARKS] == [30, 30]
    points = [sum(len(drift_curve(b, name)) for name in method_figures(b)) for b in BENCHMARKS]
    assert points == [98, 90]


def test_published_values():
    rows = method_figures("moviegen")
    assert sum(row.prompts for row in rows.values()) == 310
    assert sum(row.prompts for row in method_figures("storyeval").values()) == 300
    assert rows["BF16"].compressed_kv_bytes == 12_076_646_400
    assert rows["RTN_INT4"].compression_ratio == pytest.approx(3.2)
    assert rows["RTN_K2_V4"].compression_ratio is None
    assert math.isinf(rows["BF16"].psnr_db)
    scales = [layer.scale for layer in layer_budgets("moviegen")]
    assert sum(scales) / 30 == pytest.approx(0.9003, abs=1e-4)
    assert [layer.layer for layer in layer_budgets("storyeval")] == list(range(30))


def test_every_study_method_is_published():
    assert set(build_registry().select(("study",))) <= set(method_figures("moviegen"))


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("RTN_INT4", "RTN"),
        ("RTN_INT4+window()", "RTN"),
        ("KIVI_INT2(zero_point='clamped')@reconstruct", "KIVI"),
        ("rtn(bits=3)+recent(2)", "RTN"),
        ("bf16()+recent(2)", ""),
    ],
)
def test_the_family_of_a_method(name, family):
    assert methods.family_of(build_registry(), name) == family


# Statistics


def test_bootstrap_of_a_constant():
    interval = stats.bootstrap([0.5] * 5, seed=1)
    assert (interval.mean, interval.low, interval.high) == (0.5, 0.5, 0.5)


def test_bootstrap_of_two_values():
    interval = stats.bootstrap([0.0, 1.0], seed=0)
    assert (interval.mean, interval.low, interval.high) == (0.5, 0.0, 1.0)
    assert interval == stats.bootstrap([0.0, 1.0], seed=0)


def test_ranks_share_places():
    assert list(stats.ranks([3, 1, 3, 2])) == [3.5, 1, 3.5, 2]


def test_spearman_of_known_rankings():
    assert stats.spearman([1, 2, 3, 4], [10, 20, 25, 1000]) == pytest.approx(1)
    assert stats.spearman([1, 2, 3, 4], [4, 3, 2, 1]) == pytest.approx(-1)
    # 1 - 6 sum d^2 / (n (n^2 - 1)) with d = 1, -1, 1, -1
    assert stats.spearman([1, 2, 3, 4], [2, 1, 4, 3]) == pytest.approx(1 - 6 * 4 / 60)


# Pages


def test_block_is_replaced_and_prose_stays(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- generated: a -->\nold\n<!-- end -->\nafter\n")
    pages.update(page, {"a": "new \\1"})
    assert page.read_text() == "before\n<!-- generated: a -->\nnew \\1\n<!-- end -->\nafter\n"


def test_page_without_the_block_is_refused(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("nothing\n")
    with pytest.raises(pages.PageError, match="generated: a"):
        pages.update(page, {"a": "new"})
    assert page.read_text() == "nothing\n"


@pytest.mark.parametrize("script", [ratios, errors, accumulated, defects, tiny_study])
def test_help(script):
    result = CliRunner().invoke(script.main, ["--help"])
    assert result.exit_code == 0
    assert "--docs" in result.output


# Ratios


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    docs = tmp_path_factory.mktemp("docs")
    call(ratios, "--methods", QUICK, docs=docs)
    return docs


def test_ratios_are_published_or_better(planned):
    for row in table(planned / "ratios.md", "ratios"):
        above = row["above published %"]
        assert above == "-" or float(above) > -0.5, row


def test_ratio_page_is_not_stale(planned):
    checked_in = {row["method"]: row for row in table(DOCS / "ratios.md", "ratios")}
    for row in table(planned / "ratios.md", "ratios"):
        assert checked_in[row["method"]] == row
    held = pages.block(planned / "ratios.md", "containers")
    assert pages.block(DOCS / "ratios.md", "containers") == held


def test_methods_page_is_not_stale(planned):
    checked_in = {row["method"]: row for row in table(DOCS / "methods.md", "methods")}
    assert set(checked_in) == {f"`{name}`" for name in build_registry().select(("study",))}
    for row in table(planned / "methods.md", "methods"):
        assert checked_in[row["method"]] == row


def test_containers_explain_published_peaks(planned):
    rows = {r["method"]: r["difference bytes"] for r in table(planned / "ratios.md", "containers")}
    for name in ("RTN_INT2", "RTN_INT4", "QUAROT_KV_INT4", "PRQ_INT2", "PRQ_INT4"):
        assert rows[f"`{name}`"] == "+0"


def test_large_differences_have_reasons(planned):
    text = pages.block(planned / "ratios.md", "reasons")
    for row in table(planned / "ratios.md", "ratios"):
        above = row["above published %"]
        if above != "-" and abs(float(above)) > 0.5:
            assert f"{row['method']} {above} %" in text


# Errors


@pytest.mark.parametrize("bits", [2, 4])
def test_kivi_beats_rtn_on_offset_keys_unless_clamped(tmp_path, bits):
    call(errors, "--methods", f"RTN_INT{bits},KIVI_INT{bits}", "--chunks", "2", docs=tmp_path)
    rows = list(csv.DictReader((tmp_path / "errors.csv").open()))
    k = {row["method"]: float(row["k"]) for row in rows if row["tensors"] == "offset"}
    rtn, kivi = k[f"RTN_INT{bits}"], k[f"KIVI_INT{bits}"]
    assert kivi < rtn < k[f"KIVI_INT{bits}(zero_point='clamped')"]


def test_bf16_has_no_error(tmp_path):
    call(errors, "--methods", "BF16", "--chunks", "2", docs=tmp_path)
    row = table(tmp_path / "errors.md", "errors")[0]
    assert {value for name, value in row.items() if ": " in name} == {"0.0000"}


def test_provenance_names_command_and_machine(tmp_path):
    call(errors, "--methods", "BF16", "--chunks", "2", docs=tmp_path)
    text = pages.block(tmp_path / "errors.md", "provenance")
    assert "`python -m benchmarks.errors --methods BF16 --chunks 2`" in text
    assert re.search(r"\d+ cores.*torch \d.*revision|no revision", text)


def test_repeated_coding_hurts_the_clamped_zero_point(tmp_path):
    method = "KIVI_INT4(zero_point='clamped')"
    call(accumulated, "--methods", method, "--chunks", "2", docs=tmp_path)
    rows = list(csv.DictReader((tmp_path / "accumulated-error.csv").open()))
    last = {row["integration"]: float(row["oldest_k"]) for row in rows if row["chunks"] == "2"}
    assert last["reconstruct"] > 2 * last["streaming"]


# Defects


def test_defects_page(tmp_path):
    quick = ("D2", "D6", "D9", "D12", "D13", "D15", "D19", "D21")
    call(defects, *(word for name in quick for word in ("--only", name)), docs=tmp_path)
    for name in quick:
        assert pages.block(tmp_path / "defects.md", name)
    assert "799,119,360" in pages.block(tmp_path / "defects.md", "D13")
    assert pages.block(tmp_path / "defects.md", "D12").count("14 of 70") == 4


def test_every_defect_has_a_section_and_every_demonstration_a_place():
    text = (DOCS / "defects.md").read_text()
    assert re.findall(r"^## D(\d+):", text, re.MULTILINE) == [str(n) for n in range(1, 22)]
    for name in defects.DEMONSTRATIONS:
        assert pages.block(DOCS / "defects.md", name)


# The tiny study


def test_tiny_study_of_a_toy_run(tmp_path, cli):
    run = tmp_path / "run"
    methods = "RTN_INT2,RTN_INT4,KIVI_INT4"
    done = cli("run", "--backend", "toy", "-m", methods, "--prompts", "2", "--out", run, "--quiet")
    assert done.exit_code == 0, done.output
    call(tiny_study, str(run), docs=tmp_path)
    page = tmp_path / "tiny-study.md"
    assert len(table(page, "study")) == 4
    assert "over 3 methods" in pages.block(page, "correlation")
    assert "2 prompts" in pages.block(page, "provenance")
    assert len(table(page, "displaced")) == 3


def test_metric_costs():
    result = CliRunner().invoke(metrics.main, ["--frames", "3", "--size", "16x24"])
    assert result.exit_code == 0, result.output
    assert re.search(r"kvbench / bare: [\d.]+ by the clock, [\d.]+ in CPU time", result.output)
    assert re.search(r"\| kvbench +\| +6 \|", result.output)


def test_full_size_page_is_what_its_lines_say(tmp_path):
    page = tmp_path / "full-size.md"
    page.write_text((DOCS / "full-size.md").read_text())
    call(full_size_page, str(DOCS / "full-size.csv"), docs=tmp_path)
    assert page.read_text() == (DOCS / "full-size.md").read_text()
    rows = {row["method"].strip("`"): row for row in table(page, "streaming")}
    assert len(rows) == 36  # 33 of the study, one variant, two with window()
    assert float(rows["BF16_WINDOW"]["ratio"]) == 2
    assert all(float(row["peak GiB"]) <= float(row["bound GiB"]) for row in rows.values())
    slower = {name: float(row["x BF16"]) for name, row in rows.items()}
    assert max(slower.values()) <= 1.25
    assert all(x <= 1 for name, x in slower.items() if "PRUNE" in name or "DROP" in name)
