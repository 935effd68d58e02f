"""The published tables, and the peaks taken apart."""

from __future__ import annotations

import csv
import io
import json

import pytest
from click.testing import CliRunner

from kvbench_core.cli import main
from kvbench_core.errors import StoreError
from kvbench_core.published import method_figures
from kvbench_report.peaks import FIRST_REVISION, Peak
from kvbench_report.peaks_figure import draw, peaks_figure

GIB = 2**30
LAYERS, TOKENS, CHANNELS, BLOCK = 30, 42 * 1560, 12 * 128, 16
BF16_CACHE = LAYERS * TOKENS * CHANNELS * 2 * 2
UNEXPLAINED = {
    "RTN_INT4_REFRESH": 8.28, "KIVI_INT4_REFRESH": 8.27, "QUAROT_KV_INT4_REFRESH": 8.46,
    "RTN_K2_V4": 8.32, "KIVI_K2_V4": 8.31, "RTN_INT4_RECENT2": 6.31,
    "QUAROT_KV_INT4_RECENT2": 6.62,
}  # fmt: skip


def kvbench(*words: object):
    return CliRunner().invoke(main, [str(word) for word in words])


SOME = (
    "RTN_INT2", "RTN_INT4", "QUAROT_KV_INT4", "KIVI_INT2", "PRQ_INT2", "PRQ_INT4",
    "RTN_INT4_REFRESH", "RTN_INT4_RECENT2", "FLOWCACHE_PRUNE_INT2", "FLOWCACHE_SOFT_PRUNE_INT4",
    "BF16",
)  # fmt: skip


def explain(*words: str):
    done = kvbench("published", "explain", "--json", *words)
    assert done.exit_code == 0, done.output
    data = json.loads(done.stdout)
    assert data["left_out"] == {}
    return {peak["method"]: peak for peak in data["peaks"]}


@pytest.fixture(scope="module")
def explained():
    return explain("-m", ",".join(SOME))


def elements(tokens=TOKENS):
    """Codes of K and V of one layer, whole blocks."""
    return 2 * (-(-tokens // BLOCK)) * BLOCK * CHANNELS


def scales(tokens=TOKENS):
    """fp16 scales of K and V of one layer, one per block and channel."""
    return 2 * (-(-tokens // BLOCK)) * CHANNELS * 2


def kivi_scales():
    """fp16 scale and zero point per block and channel of K, and per token of V."""
    return TOKENS // BLOCK * CHANNELS * 4 + TOKENS * 4


def expected_held(method):
    """The bytes held, written out for the methods where that is a line."""
    plain = LAYERS * (elements() * 2 + scales())
    table = {
        "RTN_INT2": plain, "RTN_INT4": plain, "QUAROT_KV_INT4": plain,
        "KIVI_INT2": LAYERS * (elements() * 2 + kivi_scales()),
        "PRQ_INT2": 2 * LAYERS * (elements() + scales()),
        "PRQ_INT4": 2 * LAYERS * (elements() + scales()),
        "RTN_INT4_REFRESH": LAYERS * (elements() + scales()),
        "RTN_INT4_RECENT2": LAYERS * (
            elements(36 * 1560) + scales(36 * 1560) + 6 * 1560 * CHANNELS * 4),
        "BF16": BF16_CACHE,
    }  # fmt: skip
    return table[method]


@pytest.mark.parametrize("method", [
    "RTN_INT2", "RTN_INT4", "QUAROT_KV_INT4", "KIVI_INT2", "PRQ_INT2", "PRQ_INT4",
    "RTN_INT4_REFRESH", "RTN_INT4_RECENT2", "BF16",
])  # fmt: skip
def test_held_bytes_are_the_layouts(explained, method):
    assert explained[method]["held_bytes"] == expected_held(method)


@pytest.mark.parametrize("method", ["RTN_INT2", "RTN_INT4", "QUAROT_KV_INT4", "PRQ_INT2",
                                    "PRQ_INT4", "BF16"])  # fmt: skip
def test_these_peaks_come_out_to_the_byte(explained, method):
    assert explained[method]["difference_bytes"] == 0
    assert explained[method]["model_bytes"] == method_figures("moviegen")[method].peak_vram_bytes


def test_kivi_comes_out_to_1920_bytes(explained):
    assert explained["KIVI_INT2"]["difference_bytes"] == 1920


def test_everything_else_is_8_03_gib(explained):
    assert {peak["other_bytes"] for peak in explained.values()} == {20_701_900_800 - BF16_CACHE}
    assert pytest.approx(8.0329, abs=5e-5) == (20_701_900_800 - BF16_CACHE) / GIB


def unexplained(explained):
    return {
        name: peak["difference_bytes"] / GIB
        for name, peak in explained.items()
        if not peak["is_explained"]
    }


def test_what_stays_unexplained_is_named(explained):
    expected = {name: gib for name, gib in UNEXPLAINED.items() if name in SOME}
    assert unexplained(explained) == pytest.approx(expected, abs=0.006)


@pytest.mark.slow
@pytest.mark.parametrize(("benchmark", "count"), [("moviegen", 7), ("storyeval", 4)])
def test_all_published_peaks(benchmark, count):
    everything = explain(benchmark)
    assert set(unexplained(everything)) <= set(UNEXPLAINED)
    assert len(unexplained(everything)) == count


@pytest.mark.parametrize(
    ("method", "gib"),
    [("RTN_INT4", 11.548), ("RTN_INT2", 10.142), ("KIVI_INT2", 10.149), ("PRQ_INT4", 15.062),
     ("FLOWCACHE_SOFT_PRUNE_INT4", 10.082), ("FLOWCACHE_PRUNE_INT2", 9.479)],
)  # fmt: skip
def test_packed_peaks(explained, method, gib):
    assert explained[method]["packed_peak_bytes"] / GIB == pytest.approx(gib, abs=0.0015)


def test_packed_rtn_is_below_the_published_soft_pruning(explained):
    soft = method_figures("moviegen")["FLOWCACHE_SOFT_PRUNE_INT4"].peak_vram_bytes
    assert explained["RTN_INT4"]["packed_peak_bytes"] < soft


def test_containers_are_those_of_the_revisions(explained):
    widths = {name: peak["container_bits"] for name, peak in explained.items()}
    assert {name for name, width in widths.items() if width == 16} == FIRST_REVISION & set(SOME)


def test_a_method_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setenv("KVBENCH_BLOCK_PLUGINS", "rtn")
    done = kvbench("published", "explain", "-m", "BF16,RTN_INT4", "--quiet")
    assert done.exit_code == 0
    assert "within 1 % of the published peak: 1 of 1 methods" in done.stdout
    assert "left out: RTN_INT4: no method is called 'RTN_INT4'" in done.stderr


def test_a_figure_that_cannot_be_written_is_refused_at_once(tmp_path):
    for name, reason in (("no/f.png", "there is no folder"), ("f.xyz", "its ending must be one")):
        done = kvbench("published", "explain", "--figure", tmp_path / name, "--quiet")
        assert done.exit_code == 2
        assert reason in done.stderr
        assert done.stdout == ""


def test_a_name_that_was_not_published():
    done = kvbench("published", "explain", "-m", "RTN_INT5", "--quiet")
    assert done.exit_code == 2
    assert "no method of moviegen is called 'RTN_INT5'; did you mean RTN_INT4" in done.stderr


def test_without_the_geometry_it_says_what_to_install(monkeypatch):
    monkeypatch.setenv("KVBENCH_BLOCK_PLUGINS", "selfforcing-wan")
    done = kvbench("published", "explain", "--quiet")
    assert done.exit_code == 2
    assert "kvbench-selfforcing-wan" in done.stderr


@pytest.fixture
def few():
    return [
        Peak(method="A", container_bits=8, published_bytes=12 * GIB, other_bytes=8 * GIB,
             held_bytes=4 * GIB, packed_bytes=2 * GIB),
        Peak(method="B", container_bits=8, published_bytes=20 * GIB, other_bytes=8 * GIB,
             held_bytes=4 * GIB, packed_bytes=1 * GIB),
    ]  # fmt: skip


def test_the_figure_adds_up_to_the_model(few, tmp_path):
    (axes,) = peaks_figure(few).axes
    labels = [text.get_text() for text in axes.get_yticklabels()]
    assert labels == ["B (not explained)", "A"]
    ends: dict[float, float] = {}
    for bar in axes.patches:
        end = bar.get_x() + bar.get_width()
        ends[bar.get_y()] = max(end, ends.get(bar.get_y(), 0))
    assert list(ends.values()) == [12, 12]
    for name in ("f.png", "f.svg"):
        draw(few, tmp_path / name)
        assert (tmp_path / name).stat().st_size > 1000
    for bad in (tmp_path / "no" / "f.png", tmp_path / "f.xyz"):
        with pytest.raises(StoreError, match="cannot draw"):
            draw(few, bad)


@pytest.mark.parametrize("benchmark", ["moviegen", "storyeval"])
def test_the_table_is_the_file(benchmark):
    rows = list(csv.DictReader(io.StringIO(
        kvbench("published", "table", benchmark, "--format", "csv").stdout)))  # fmt: skip
    published = method_figures(benchmark)
    assert [row["method"] for row in rows] == list(published)
    for row in rows:
        assert float(row["ssim"]) == published[row["method"]].ssim
        assert int(float(row["peak_bytes"])) == published[row["method"]].peak_vram_bytes
    assert (rows[-1]["compression_ratio"] == "") == (benchmark == "moviegen")


def test_the_table_for_readers():
    text = kvbench("published", "table", "--format", "markdown").stdout
    assert text.startswith("| method")
    data = json.loads(kvbench("published", "table", "--json").stdout)
    by_name = {row["method"]: row for row in data}
    assert by_name["BF16"]["psnr"] is None  # infinite
    assert by_name["KIVI_K2_V4"]["prompts"] == 3
