"""A method in a package of its own, as `docs/write-a-method.md` builds it."""

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
PACKAGE = ROOT / "tests" / "third_party"
GUIDE = ROOT / "docs" / "write-a-method.md"


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """An environment in which the package is installed, by what its pyproject.toml says."""
    project = tomllib.loads((PACKAGE / "pyproject.toml").read_text())["project"]
    site = tmp_path_factory.mktemp("site")
    info = site / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    points = [f"{k} = {v}" for k, v in project["entry-points"]["kvbench"].items()]
    (info / "entry_points.txt").write_text("\n".join(["[kvbench]", *points]) + "\n")
    inherited = {name: text for name, text in os.environ.items() if name != BLOCK_VARIABLE}
    return {**inherited, "PYTHONPATH": f"{site}{os.pathsep}{PACKAGE}", "OMP_NUM_THREADS": "1"}


def run(environment, folder, *arguments):
    command = [sys.executable, "-m", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def test_the_package_is_listed(environment, tmp_path):
    listed = json.loads(run(environment, tmp_path, "kvbench_core.cli", "list", "--json").stdout)
    mine = {kind: rows for kind, rows in listed.items() if kind != "failed"}
    names = [row["name"] for rows in mine.values() for row in rows if row.get("family") == "NIBBLE"]
    assert names == ["NIBBLE", "NIBBLE_RECENT2"]
    assert "nibble" in [row["name"] for row in listed["parts"]]
    assert listed["failed"] == []


def test_conformance_of_an_expression_over_its_part(environment, tmp_path):
    method = "nibble(channels=16)+recent(2)"
    done = run(environment, tmp_path, "kvbench_core.cli", "conformance", method, "--json")
    assert done.returncode == 0, done.stdout
    (subject,) = json.loads(done.stdout)["subjects"]
    assert (subject["kind"], subject["name"]) == ("policy", method)
    assert subject["held"] > 80
    assert subject["failed"] == subject["not_checked"] == []


def test_the_package_passes_its_own_tests(environment):
    done = run(environment, PACKAGE, "pytest", "-q", "-p", "no:cacheprovider", "tests")
    assert done.returncode == 0, done.stdout
    assert re.search(r"2\d\d passed", done.stdout)


def test_a_parameter_that_does_not_fit_is_one_sentence(monkeypatch):
    monkeypatch.syspath_prepend(PACKAGE)
    from kvbench_nibble.codec import nibble

    with pytest.raises(ParameterError) as caught:
        nibble(channels=64).check(PLAIN)
    expected = "nibble: channels must be a divisor of the head dimension 32; got 64"
    assert str(caught.value) == expected


def test_the_guide_shows_these_files():
    text = GUIDE.read_text()
    shown = re.findall(r"<!-- file: (\S+) -->\n```\w+\n(.*?)```", text, flags=re.S)
    files = dict(shown)
    present = {
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*")
        if path.suffix in (".py", ".toml") and "__pycache__" not in path.parts
    }
    assert present == set(files)
    for name, block in shown:
        assert block == (PACKAGE / name).read_text(), f"{name} in the guide is out of date"
