"""A run directory and a published table as arrays."""

from __future__ import annotations

import csv
import math
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from attrs import evolve
from made_runs import MadeRun, environment, method

from kvbench_core.errors import StoreError
from kvbench_report.published_results import published_results
from kvbench_report.run_results import read_run


@pytest.fixture
def made(tmp_path: Path) -> MadeRun:
    made = MadeRun(tmp_path / "run", ["BF16", "A", "A@reconstruct"], ["ball", "cube"])
    for place, prompt in enumerate(("ball", "cube")):
        made.cell("BF16", prompt, runtime=1.0 + place)
        made.cell("A", prompt, ratio=4.0, peak=500 + place, runtime=3.0 + place,
                  scores={"ssim": 0.5 + place / 4, "imaging_quality": 0.6})  # fmt: skip
    made.cell("A@reconstruct", "ball", scores={"ssim": 0.25})
    made.failed("A@reconstruct", "cube")
    return made


def test_cells_and_scores_find_their_place(made: MadeRun):
    results = read_run(made.store.root)
    assert results.names == ("BF16", "A", "A@reconstruct")
    assert results.prompts == ("ball", "cube")
    assert results.reference == 0
    nan = math.nan
    expected = {
        "runtime_s": [[1, 2], [3, 4], [1, nan]],
        "compression_ratio": [[1, 1], [4, 4], [1, nan]],
        "stored_bytes": [[64000, 64000], [16000, 16000], [64000, nan]],
        "peak_bytes": [[1000, 1000], [500, 501], [1000, nan]],
        "decoding_peak_bytes": [[500, 500], [250, 250], [500, nan]],
        "ssim": [[1, 1], [0.5, 0.75], [0.25, nan]],
        "imaging_quality": [[nan, nan], [0.6, 0.6], [nan, nan]],
    }
    for column, values in expected.items():
        np.testing.assert_array_equal(results.values[column], values, err_msg=column)
    assert [(m.prompts, m.failed) for m in results.methods] == [(2, 0), (2, 0), (1, 1)]
    assert results.failures == ("A@reconstruct on cube: RuntimeError: out of memory",)
    assert results.problems == ()


def test_columns_know_unit_direction_and_origin(made: MadeRun):
    columns = read_run(made.store.root).columns
    assert (columns["peak_bytes"].unit, columns["peak_bytes"].better) == ("bytes", "lower")
    assert (columns["ssim"].better, columns["ssim"].metric) == ("higher", "ssim 1")
    assert (columns["ssim"].of_reference, columns["imaging_quality"].of_reference) == (1.0, None)


def test_a_level_is_the_mean_of_what_there_is_and_the_maximum_of_peaks(made: MadeRun):
    results = read_run(made.store.root)
    np.testing.assert_array_equal(results.level("ssim"), [1, 0.625, 0.25])
    np.testing.assert_array_equal(results.level("peak_bytes"), [1000, 501, 1000])
    np.testing.assert_array_equal(results.level("imaging_quality"), [math.nan, 0.6, math.nan])


def test_a_reference_that_failed_has_no_perfect_score(made: MadeRun):
    made.failed("BF16", "cube")
    ssim = read_run(made.store.root).values["ssim"]
    np.testing.assert_array_equal(ssim[0], [1, math.nan])
    np.testing.assert_array_equal(ssim[1], [0.5, math.nan])  # its reference is gone


def test_a_metric_without_reference_says_nothing_of_a_reference_it_did_not_score(made: MadeRun):
    for prompt in ("ball", "cube"):
        record = made.cell("A", prompt)
        made.score(record, "ssim", 0.5, reference_sha256=None)
    (made.store.root / "scores" / made.key("A@reconstruct", "ball").id / "ssim.json").unlink()
    results = read_run(made.store.root)
    assert np.isnan(results.values["ssim"][0]).all()
    assert results.columns["ssim"].of_reference is None


def test_a_score_against_another_prompts_reference_does_not_count(made: MadeRun):
    record = made.cell("A", "ball")
    (other,) = (r for r in made.store.cells(made.manifest)[0] if r.cell == made.key("BF16", "cube"))
    made.score(record, "ssim", 0.9, reference_sha256=other.video.sha256)
    assert math.isnan(read_run(made.store.root).values["ssim"][1, 0])


def test_settings_tell_what_the_cells_were_made_with(made: MadeRun):
    made.environment = environment(torch="2.14")
    made.cell("A", "ball")
    made.environment = environment(torch="2.15")
    made.cell("A", "cube")
    settings = read_run(made.store.root).settings
    assert settings["torch"] == "2.14, 2.15"
    assert settings["latent frames"] == "6"
    assert settings["device"] == "cpu"


def test_what_does_not_fit_is_named_and_left_out(made: MadeRun):
    record = made.cell("A", "ball", ratio=4.0)
    other = evolve(record.cell, id="other-seed", seed=7)
    made.store.put_cell(evolve(record, cell=other))
    twin = evolve(record.cell, id="z-twin")
    made.store.put_cell(evolve(record, cell=twin))
    (made.store.root / "cells" / "damaged.json").write_text("{")
    results = read_run(made.store.root)
    assert results.values["compression_ratio"][1, 0] == 4.0
    for part in ("damaged.json", "other-seed is left out: made with another seed",
                 "z-twin is left out: another record"):  # fmt: skip
        assert any(part in problem for problem in results.problems), part


def test_mixed_versions_of_a_metric_are_a_problem(made: MadeRun):
    record = made.cell("A", "ball")
    made.score(record, "ssim", 0.9, metric_version="2")
    results = read_run(made.store.root)
    assert results.columns["ssim"].metric == "ssim 1, 2"
    assert [p for p in results.problems if "ssim come from different versions" in p]


def test_an_unavailable_score_is_missing_with_its_reason(made: MadeRun):
    record = made.cell("A", "ball")
    made.score(record, "lpips", 0.1, status="unavailable", values={}, columns=[],
               notes={"reason": "no weights"})  # fmt: skip
    results = read_run(made.store.root)
    assert "lpips" not in results.columns
    assert "A on ball: no lpips: no weights" in results.problems


def test_a_metric_cannot_take_the_name_of_a_figure(made: MadeRun):
    record = made.cell("A", "ball", runtime=3.0)
    (column,) = made.store.score(record.cell.id, "ssim").columns
    renamed = evolve(column, name="runtime_s")
    made.score(record, "ssim", 9.0, values={"runtime_s": 9.0}, columns=[renamed])
    assert read_run(made.store.root).values["runtime_s"][1, 0] == 3.0


def test_a_redefined_preset_has_its_expression_as_name(made: MadeRun):
    redefined = evolve(method("A"), expression="a(bits=3)")
    made.store.update(lambda m: evolve(m, methods=[*m.methods, redefined]))
    record = made.cell("A", "ball")
    made.store.put_cell(evolve(record, cell=evolve(record.cell, id="redefined", method=redefined)))
    assert read_run(made.store.root).names == ("BF16", "a()", "A@reconstruct", "a(bits=3)")


def test_a_run_without_cells_is_empty(tmp_path: Path):
    made = MadeRun(tmp_path / "run", ["BF16"], ["ball"])
    results = read_run(made.store.root)
    assert results.methods == ()
    assert results.level("runtime_s").shape == (0,)
    with pytest.raises(StoreError, match="is no run directory"):
        read_run(tmp_path)


@pytest.mark.parametrize(("benchmark", "count"), [("moviegen", 33), ("storyeval", 30)])
def test_published_tables_equal_the_files(benchmark, count):
    results = published_results(benchmark)
    text = (files("kvbench_core.published") / "data" / f"{benchmark}.csv").read_text()
    rows = {row["method"]: row for row in csv.DictReader(text.splitlines())}
    assert set(results.names) == set(rows)
    assert len(results.names) == count
    assert results.methods[results.reference].name == "BF16"
    theirs = {"stored_bytes": "compressed_kv_bytes", "peak_bytes": "peak_vram_bytes"}
    for column in results.columns:
        for name, level in zip(results.names, results.level(column), strict=True):
            text = rows[name][theirs.get(column, column)]
            assert level == float(text or "nan") or (math.isnan(level) and not text)
    assert {m.name: m.prompts for m in results.methods} == {
        k: int(r["prompts"]) for k, r in rows.items()
    }
