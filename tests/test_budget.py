"""Planning figures against the published ones and against a real rollout."""

from __future__ import annotations

import csv
import json
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from kvbench_core.backend import Backend
from kvbench_core.budget import WORKSPACE_BYTES, footprint, longest_rollout
from kvbench_core.cli.budget import budget, size
from kvbench_core.errors import BackendError, KvbenchError
from kvbench_core.geometry import CacheGeometry, Step
from kvbench_core.plugins import BLOCK_VARIABLE, GROUP
from kvbench_core.registry import build_registry
from kvbench_core.session import CacheSession

GIB = 2**30
FULL_SIZE = Path(__file__).parents[1] / "docs" / "full-size.csv"


class Planned(Backend):
    """Self-Forcing Wan2.1-1.3B's cache beside one GiB of weights."""

    default_frames, fps, default_suite, max_frames = 42, 16.0, "none", 1024

    def geometry(self) -> CacheGeometry:
        return CacheGeometry(layers=30, heads=12, head_dim=128, grid=(30, 52), window_frames=21)

    def video_frames(self, frames):
        return 4 * frames - 3

    def resident_bytes(self, frames):
        return {"weights": GIB}

    def load(self, device):
        raise NotImplementedError


@pytest.fixture(scope="module")
def registry():
    return build_registry()


PUBLISHED_BYTES = {
    "BF16": 12_076_646_400,
    "RTN_INT2": 2_264_371_200,
    "RTN_INT4": 3_773_952_000,
    "RTN_K2_V4": 3_019_161_600,
    "RTN_INT4_RECENT2": 4_960_051_200,
    "RTN_INT4_REFRESH": 3_773_952_000,
}


@pytest.mark.parametrize("method", PUBLISHED_BYTES)
def test_sizes_are_the_published_ones_to_the_byte(registry, method):
    figures = footprint(registry.policy(method), Planned(), 42)
    assert figures.stored_bytes == PUBLISHED_BYTES[method]


def test_the_floor_is_its_items(registry):
    figures = footprint(registry.policy("RTN_INT4"), Planned(), 42)
    window = 21 * 1560 * 12 * 128 * 2 * 2  # K and V of one layer, decoded
    assert figures.scratch_bytes == window
    assert figures.peak_floor_bytes == 3_773_952_000 + window + GIB


def test_longest_rollout_fits_and_one_chunk_more_does_not(registry):
    policy = registry.policy("RTN_INT4")
    longest = longest_rollout(policy, Planned(), 6 * GIB)
    assert longest.fits(6 * GIB)
    assert longest.peak_floor_bytes < 5 * GIB  # CUDA and its kernels need room too
    assert not footprint(policy, Planned(), longest.frames + 3).fits(6 * GIB)
    assert longest_rollout(policy, Planned(), GIB) is None


def test_planned_bytes_equal_a_real_rollout(registry):
    class Small(Planned):
        def geometry(self):
            return CacheGeometry(layers=2, heads=2, head_dim=16, grid=(3, 8), window_frames=6)

    for method in ("BF16", "RTN_INT4", "rtn(bits=3)+recent(blocks=2)"):
        policy, geometry = registry.policy(method), Small().geometry()
        session = CacheSession(policy, geometry)
        for chunk in range(5):
            session.begin_pass(
                Step(
                    geometry=geometry,
                    chunk=chunk,
                    denoise_index=0,
                    is_context=True,
                    start_frame=3 * chunk,
                    frames=3,
                )
            )
            for layer in range(2):
                session.attend(layer, *torch.randn(3, 1, 72, 2, 16).bfloat16())
        planned = footprint(policy, Small(), 15)
        assert planned.stored_bytes == session.stored_bytes()
        assert planned.scratch_bytes == session.context.scratch.peak_bytes


@pytest.mark.parametrize(("frames", "nearest"), [(0, 3), (43, 42), (1024, 1023), (5000, 1023)])
def test_impossible_lengths_name_the_nearest_possible(frames, nearest):
    with pytest.raises(BackendError, match=f"the nearest possible number is {nearest}"):
        Planned().check_frames(frames)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("24GiB", 24 * GIB), ("24gib", 24 * GIB), ("16 GB", 16 * 10**9), ("1.5G", 1_500_000_000)],
)
def test_amounts_of_memory(text, expected):
    assert size(text) == expected


wan = pytest.mark.skipif(
    find_spec("kvbench_selfforcing_wan") is None, reason="kvbench-selfforcing-wan is not installed"
)


@wan
def test_command_gives_json():
    arguments = ["RTN_INT4", "BF16", "--backend", "wan-1.3b", "--vram", "24GiB", "--json"]
    result = CliRunner().invoke(budget, arguments, catch_exceptions=False)
    rtn, bf16 = json.loads(result.stdout)["methods"]
    assert rtn["compression_ratio"] == pytest.approx(3.2)
    assert rtn["longest_frames"] > 2 * bf16["longest_frames"]


@wan
def test_which_methods_fit_a_length_into_a_memory():
    """One question, one command: the least compressed that fits comes first."""
    arguments = ["RTN+window()", "BF16_WINDOW", "RTN_INT4", "--seconds", "30", "--vram", "8GiB"]
    found = json.loads(CliRunner().invoke(budget, [*arguments, "--json"]).stdout)
    rows = {row["method"]: row for row in found["methods"]}
    assert found["frames"] == 123  # 4 n - 3 frames at 16 a second: 120 are 29.8 s
    fit = [row["compression_ratio"] for row in rows.values() if row["fits"]]
    assert list(rows)[: len(fit)] == [name for name, row in rows.items() if row["fits"]]
    assert fit == sorted(fit)
    assert rows["RTN_INT4+window()"]["fits"]
    assert not rows["RTN_INT4"]["fits"]
    assert not rows["BF16_WINDOW"]["fits"]
    text = CliRunner().invoke(budget, arguments).stdout
    assert f"{len(fit)} of 7 methods fit" in text
    assert f"--backend wan-1.3b --frames 123 -m '{next(iter(rows))}'" in text


@wan
def test_without_names_every_method_is_planned_with_its_window(monkeypatch):
    methods = {point.name for point in entry_points(group=GROUP)} - {"selfforcing-wan"}
    monkeypatch.setenv(BLOCK_VARIABLE, ",".join(methods - {"rtn"}))
    arguments = ["--seconds", "30", "--vram", "24GiB", "--json"]
    found = json.loads(CliRunner().invoke(budget, arguments).stdout)
    names = [row["method"] for row in found["methods"]]
    assert names[0] == "BF16_WINDOW"  # and not also BF16+window(), which is the same
    assert all(name.endswith("+window()") for name in names[1:])
    assert "RTN_INT4+window()" in names


@wan
def test_how_long_a_video_may_be():
    arguments = ["BF16", "BF16_WINDOW", "--json", "--vram"]
    found = json.loads(CliRunner().invoke(budget, [*arguments, "24GiB"]).stdout)["methods"]
    assert [row["longest_frames"] for row in found] == [72, 1023]
    text = CliRunner().invoke(budget, ["BF16", "BF16_WINDOW", "--vram", "24GiB"]).stdout
    assert "72 frames, 17.8 s\n" in text
    assert "1023 frames, 255.6 s (the generator's limit)" in text
    assert text.count("none") == 0
    nothing = CliRunner().invoke(budget, ["BF16", "--vram", "4GiB"]).stdout
    assert "none\n" in nothing


@wan
def test_a_memory_too_small_to_decode_the_video_fits_nothing():
    arguments = ["RTN_INT2+window()", "--frames", "21", "--vram", "7GiB"]
    text = CliRunner().invoke(budget, arguments).stdout
    assert "Decoding the video afterwards takes 7.02 GiB." in text
    assert "None of 1 methods fits." in text
    smaller = CliRunner().invoke(budget, [*arguments, "--resolution", "640x384"]).stdout
    assert "1 of 1 methods fit" in smaller


MEASURED = [("BF16", 42), ("BF16", 126), ("BF16_WINDOW", 126), ("RTN_INT4", 42), ("RTN_INT4", 126)]
MEASURED += [("RTN_INT4+window()", 126), ("PRQ_INT4", 42), ("FLOWCACHE_PRUNE_INT2", 42)]


@wan
@pytest.mark.parametrize(("method", "frames"), MEASURED)
def test_the_plan_holds_what_was_measured_on_a_gpu(registry, method, frames):
    """Between the floor and what "fits" allows for; ``docs/full-size.csv`` has every rollout."""
    peaks = measured(method, frames)
    try:
        planned = footprint(registry.policy(method), registry.backend("wan-1.3b"), frames)
    except KvbenchError:
        pytest.skip("its plugin is not installed")
    assert planned.peak_floor_bytes < min(peaks)
    assert max(peaks) < planned.peak_floor_bytes + WORKSPACE_BYTES


@wan
def test_decoding_takes_what_was_measured(registry):
    (peak,) = {round(peak / GIB, 1) for peak in measured("(video decoding)", 42)}
    assert round(registry.backend("wan-1.3b").decoding_bytes() / GIB, 1) == peak


def measured(method, frames):
    with FULL_SIZE.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["method"] == method]
    return [int(row["peak_bytes"]) for row in rows if row["frames"] == str(frames)]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--vram", "lots"], "'lots' is no amount of memory; write it like 24GiB"),
        (["--frames", "42", "--seconds", "9"], "give --frames or --seconds, not both"),
        (["--seconds", "0"], "0 is not between 0 and this generator's 255.6 s"),
        (["--seconds", "300"], "300 is not between 0 and this generator's 255.6 s"),
    ],
)
@wan
def test_command_refuses_nonsense_in_one_line(arguments, sentence):
    result = CliRunner().invoke(budget, arguments)
    assert result.exit_code == 2
    assert sentence in result.output
