"""Planning figures against the published ones and against a real rollout."""

from __future__ import annotations

import json

import pytest
import torch
from click.testing import CliRunner

from kvbench_core.backend import Backend
from kvbench_core.budget import footprint, longest_rollout
from kvbench_core.cli.budget import budget, size
from kvbench_core.errors import BackendError
from kvbench_core.geometry import CacheGeometry, Step
from kvbench_core.registry import build_registry
from kvbench_core.session import CacheSession

GIB = 2**30


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
    assert longest.peak_floor_bytes <= 6 * GIB
    assert footprint(policy, Planned(), longest.frames + 3).peak_floor_bytes > 6 * GIB
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


def test_command_gives_json(registry):
    if not any(name == "wan-1.3b" for _, name in registry.entries):
        pytest.skip("kvbench-selfforcing-wan is not installed")
    arguments = ["RTN_INT4", "BF16", "--backend", "wan-1.3b", "--vram", "24GiB", "--json"]
    result = CliRunner().invoke(budget, arguments, catch_exceptions=False)
    rtn, bf16 = json.loads(result.stdout)["methods"]
    assert rtn["compression_ratio"] == pytest.approx(3.2)
    assert rtn["longest_frames"] > 2 * bf16["longest_frames"]


def test_command_refuses_nonsense_in_one_line():
    result = CliRunner().invoke(budget, ["--vram", "lots"])
    assert result.exit_code == 2
    assert "'lots' is no amount of memory; write it like 24GiB" in result.output
