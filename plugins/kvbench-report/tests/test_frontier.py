"""Frontiers against brute force and against the published memberships."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from made_runs import MadeRun

from kvbench_core.cli import main
from kvbench_report.frontier import FRONTIERS, dominance, frontier
from kvbench_report.published_results import published_results
from kvbench_report.run_results import read_run

BALANCED = {
    "AGE_TIER_INT4", "BF16", "FLOWCACHE_NATIVE", "FLOWCACHE_NATIVE_SOFT_PRUNE_INT4",
    "FLOWCACHE_PRUNE_INT2", "FLOWCACHE_PRUNE_INT4", "FLOWCACHE_SOFT_PRUNE_INT2",
    "FLOWCACHE_SOFT_PRUNE_INT4", "PRQ_INT2", "PRQ_INT4", "QUAROT_KV_INT4", "RTN_INT4",
    "RTN_INT4_RECENT2", "RTN_INT4_REFRESH",
}  # fmt: skip
COMPRESSION = {
    "BF16", "FLOWCACHE_PRUNE_INT2", "FLOWCACHE_PRUNE_INT4", "FLOWCACHE_SOFT_PRUNE_INT2",
    "FLOWCACHE_SOFT_PRUNE_INT4", "PRQ_INT2", "PRQ_INT4", "QUAROT_KV_INT4", "RTN_INT4_RECENT2",
}  # fmt: skip
SYSTEMS = {
    "BF16", "FLOWCACHE_NATIVE", "FLOWCACHE_NATIVE_SOFT_PRUNE_INT4", "FLOWCACHE_PRUNE_INT2",
}  # fmt: skip
QUALITY = {"BF16", "FLOWCACHE_NATIVE", "PRQ_INT2"}
PUBLISHED = {
    ("moviegen", "balanced"): BALANCED | {"KIVI_INT4_REFRESH"},
    ("moviegen", "compression"): COMPRESSION,
    ("moviegen", "systems"): SYSTEMS,
    ("moviegen", "quality"): QUALITY,
    ("storyeval", "balanced"): BALANCED,
    ("storyeval", "compression"): COMPRESSION,
    ("storyeval", "systems"): SYSTEMS,
    ("storyeval", "quality"): QUALITY | {"PRQ_INT4"},
}
"""The flags in the study's derived tables."""


def kvbench(*words: object):
    return CliRunner().invoke(main, [str(word) for word in words])


@pytest.mark.parametrize(("benchmark", "name"), PUBLISHED)
def test_the_published_frontiers(benchmark, name):
    assert set(frontier(published_results(benchmark), name).members) == PUBLISHED[benchmark, name]


@pytest.mark.parametrize("name", FRONTIERS)
def test_methods_without_a_published_ratio_take_no_part_where_it_counts(name):
    found = frontier(published_results("moviegen"), name)
    incomplete = {"KIVI_K2_V4", "RTN_K2_V4", "QUAROT_KV_INT4_REFRESH"}
    assert set(found.excluded) == (set() if name == "quality" else incomplete)
    assert set(found.excluded.values()) <= {"no compression ratio"}


def brute(table):
    """Dominance by the definition, one pair and one objective at a time."""

    def dominates(a, b):
        return all(x <= y + 1e-9 for x, y in zip(a, b, strict=True)) and any(
            x < y - 1e-9 for x, y in zip(a, b, strict=True)
        )

    return [[dominates(a, b) for b in table] for a in table]


@settings(max_examples=200, deadline=None)
@given(
    st.integers(1, 4).flatmap(
        lambda k: st.lists(
            st.lists(st.integers(-3, 3).map(float), min_size=k, max_size=k), min_size=1, max_size=8
        )
    )
)
def test_dominance_is_the_definition(table):
    assert dominance(np.array(table)).tolist() == brute(table)


def test_less_than_the_tolerance_is_no_difference():
    assert not dominance(np.array([[1.0, 1.0], [1.0 + 5e-10, 1.0]])).any()
    assert dominance(np.array([[1.0, 1.0], [1.0 + 2e-9, 1.0]]))[0, 1]


@pytest.fixture
def made(tmp_path):
    made = MadeRun(tmp_path / "run", ["BF16", "GOOD", "BAD", "LOST"], ["p", "q", "r"])
    for place, prompt in enumerate(("p", "q", "r")):
        made.cell("BF16", prompt, runtime=1.0)
        made.cell("GOOD", prompt, ratio=4.0, peak=500, runtime=2.0,
                  scores={"ssim": 0.9, "stlpips": 0.1})  # fmt: skip
        made.cell("BAD", prompt, ratio=3.0, peak=600, runtime=3.0,
                  scores={"ssim": 0.8 + 0.09 * place, "stlpips": 0.2})  # fmt: skip
        made.failed("LOST", prompt)
    return made


def test_a_run_uses_the_objectives_that_it_has_and_says_so(made):
    found = frontier(read_run(made.store.root), "balanced")
    assert [column.name for column in found.objectives] == [
        "ssim", "stlpips", "compression_ratio", "runtime_s", "peak_bytes",
    ]  # fmt: skip
    assert found.members == ("BF16", "GOOD")
    assert found.dominators["BAD"] == ("GOOD",)
    assert found.excluded == {"LOST": "no SSIM, ST-LPIPS, compression ratio, runtime, peak memory"}
    assert found.notes == (
        "no figures of drift-last", "ST-LPIPS stands in for LPIPS",
    )  # fmt: skip


def test_shares_tell_how_certain_a_membership_is(made):
    """BAD has the better SSIM only if the draw favours its best prompt."""
    shares = frontier(read_run(made.store.root), "balanced").shares
    assert shares["GOOD"] == shares["BF16"] == 1
    values = [0.8, 0.89, 0.98]
    expected = np.mean([
        np.mean([values[i], values[j], values[k]]) > 0.9 + 1e-9
        for i in range(3) for j in range(3) for k in range(3)
    ])  # fmt: skip
    assert shares["BAD"] == pytest.approx(expected, abs=0.05)


def test_the_command_on_a_published_table():
    done = kvbench("frontier", "--published", "moviegen")
    assert done.exit_code == 0, done.output
    lines = {line.split()[0]: line.split() for line in done.stdout.splitlines() if line}
    assert lines["PRQ_INT2"][1:] == ["yes", "yes", "18", "yes"]
    assert "KIVI_K2_V4 is left out of balanced, compression, systems: no compression ratio" in (
        done.stdout
    )


def test_the_command_as_json(made):
    data = json.loads(kvbench("frontier", made.store.root, "--json").stdout)
    by_name = {each["name"]: each for each in data["frontiers"]}
    assert by_name["systems"]["dominated"] == {"BAD": ["GOOD"]}
    assert by_name["balanced"]["dominated"] == {"BAD": ["GOOD"]}
    assert by_name["balanced"]["shares"]["GOOD"] == 1.0


def test_one_frontier_shows_figures_and_dominators(made):
    done = kvbench("frontier", made.store.root, "--only", "systems")
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("BAD")]
    assert line.endswith("GOOD")
    assert "LOST on p: RuntimeError: out of memory" in done.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "give a run directory or --published moviegen|storyeval"),
        (("x", "--published", "moviegen"), "one of them"),
        (("nowhere",), "nowhere is no run directory"),
    ],
)
def test_mistakes(words, message):
    done = kvbench("frontier", *words)
    assert done.exit_code == 2
    assert message in done.stderr
    assert "Traceback" not in done.output


def test_bf16_alone_is_on_every_frontier(tmp_path):
    made = MadeRun(tmp_path / "run", ["BF16"], ["p"])
    made.cell("BF16", "p")
    for name in FRONTIERS:
        found = frontier(read_run(made.store.root), name)
        assert found.members == (("BF16",) if found.objectives else ())
