"""Packages of one's own, as `docs/write-a-method.md` and `docs/write-a-backend.md` build them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from kvbench_core.conformance.inputs import PLAIN
from kvbench_core.errors import ParameterError
from kvbench_core.plugins import BLOCK_VARIABLE

ROOT = Path(__file__).parents[1]
NIBBLE, RIPPLE = (ROOT / "tests" / "third_party" / name for name in ("nibble", "ripple"))
GUIDES = {NIBBLE: "write-a-method.md", RIPPLE: "write-a-backend.md"}


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """An environment in which the packages are installed, by what their pyproject.toml say."""
    site = tmp_path_factory.mktemp("site")
    for package in GUIDES:
        install(package, site)
    inherited = {name: text for name, text in os.environ.items() if name != BLOCK_VARIABLE}
    path = os.pathsep.join(map(str, (site, *GUIDES)))
    return {**inherited, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}


def install(package, site):
    project = tomllib.loads((package / "pyproject.toml").read_text())["project"]
    info = site / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    points = [f"{k} = {v}" for k, v in project["entry-points"]["kvbench"].items()]
    (info / "entry_points.txt").write_text("\n".join(["[kvbench]", *points]) + "\n")


def run(environment, folder, *arguments):
    command = [sys.executable, "-m", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def test_they_are_listed(environment, tmp_path):
    listed = json.loads(run(environment, tmp_path, "kvbench_core.cli", "list", "--json").stdout)
    mine = {kind: rows for kind, rows in listed.items() if kind != "failed"}
    names = [row["name"] for rows in mine.values() for row in rows if row.get("family") == "NIBBLE"]
    assert names == ["NIBBLE", "NIBBLE_RECENT2"]
    assert "nibble" in [row["name"] for row in listed["parts"]]
    assert "ripple" in [row["name"] for row in listed["backends"]]
    assert listed["failed"] == []


def test_conformance_without_a_test_of_ones_own(environment, tmp_path):
    done = run(environment, tmp_path, "kvbench_core.cli", "conformance", "ripple", "--json")
    assert done.returncode == 0, done.stdout
    backend, suite = json.loads(done.stdout)["subjects"]
    assert [(x["kind"], x["name"]) for x in (backend, suite)] == [
        ("backend", "ripple"),
        ("suite", "ripple"),
    ]
    assert backend["held"] >= 15
    assert backend["failed"] == backend["not_checked"] == []


def test_some_clauses_for_an_expression_over_its_part(environment, tmp_path):
    method = "nibble(channels=16)+recent(2)"
    chosen = (f"--kvbench-policy={method}", "-k", "p3 or p5 or p22", "-p", "no:cacheprovider")
    done = run(environment, tmp_path, "pytest", "--pyargs", "kvbench_core.conformance", *chosen)
    assert done.returncode == 0, done.stdout
    (passed,) = re.findall(r"(\d+) passed", done.stdout)
    assert int(passed) > 10


@pytest.mark.parametrize(("package", "passed"), [(NIBBLE, 200), (RIPPLE, 19)])
def test_they_pass_their_own_tests(environment, package, passed):
    done = run(environment, package, "pytest", "-q", "-p", "no:cacheprovider", "tests")
    assert done.returncode == 0, done.stdout
    (found,) = re.findall(r"(\d+) passed", done.stdout)
    assert int(found) >= passed


def test_a_run_of_the_generator_with_the_method(environment, tmp_path):
    methods = "NIBBLE,NIBBLE+window()"
    wanted = ["run", "--backend", "ripple", "-m", methods, "--out", "made", "--metrics", "psnr"]
    done = run(environment, tmp_path, "kvbench_core.cli", *wanted, "--json", "--quiet")
    assert done.returncode == 0, done.stderr
    bf16, whole, windowed = json.loads(done.stdout)["rows"]
    assert bf16["compression_ratio"] == 1
    assert whole["compression_ratio"] == pytest.approx(32 / 9, rel=1e-3)
    assert windowed["compression_ratio"] == pytest.approx(32 / 9 * 12 / 9, rel=1e-3)
    assert whole["scores"] == windowed["scores"]
    assert whole["scores"]["psnr"] > 30


def test_a_parameter_that_does_not_fit_is_one_sentence(monkeypatch):
    monkeypatch.syspath_prepend(NIBBLE)
    from kvbench_nibble.codec import nibble

    with pytest.raises(ParameterError) as caught:
        nibble(channels=64).check(PLAIN)
    expected = "nibble: channels must be a divisor of the head dimension 32; got 64"
    assert str(caught.value) == expected


@pytest.mark.parametrize("package", GUIDES)
def test_the_guide_shows_these_files(package):
    text = (ROOT / "docs" / GUIDES[package]).read_text()
    shown = re.findall(r"<!-- file: (\S+) -->\n```\w+\n(.*?)```", text, flags=re.S)
    files = dict(shown)
    present = {
        str(path.relative_to(package))
        for path in package.rglob("*")
        if path.suffix in (".py", ".toml") and "__pycache__" not in path.parts
    }
    assert present == set(files)
    for name, block in shown:
        assert block == (package / name).read_text(), f"{name} in the guide is out of date"
