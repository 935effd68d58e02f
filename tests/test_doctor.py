"""The doctor's findings."""

from __future__ import annotations

import json
from importlib.metadata import entry_points

import pytest
from click.testing import CliRunner

from kvbench_core.cli import main
from kvbench_core.cli.doctor import doctor
from kvbench_core.doctor import examine
from kvbench_core.plugins import (
    BLOCK_VARIABLE,
    GROUP,
    Failure,
    Plugin,
    Plugins,
    load_plugins,
)
from kvbench_core.registry import build_registry
from kvbench_core.specs import BackendSpec


def test_broken_things_are_named_and_the_rest_is_still_examined():
    spec = BackendSpec(name="gone", family="x", summary="missing", target="no_such_module:make")
    plugins = Plugins(
        (*load_plugins([]).loaded, Plugin("gone", "gone", "1", (spec,))),
        (Failure("bad", "bad-package", "2.0", "ImportError: no"),),
    )
    topics = examine(build_registry(plugins))
    assert any(f.subject == "bad" and not f.ok for f in topics["plugins"])
    (backend,) = topics["backends"]
    assert backend.subject == "gone: load"
    assert "no_such_module" in backend.detail
    assert topics["video"][0].ok
    assert sum("used by default" in f.detail for f in topics["attention kernels"]) == 1


def test_json_and_text_say_the_same():
    text = CliRunner().invoke(doctor, [], catch_exceptions=False).output
    found = json.loads(CliRunner().invoke(doctor, ["--json"], catch_exceptions=False).output)
    for findings in found.values():
        for finding in findings:
            assert finding["subject"] in text


@pytest.mark.parametrize(
    ("command", "code", "sentence"),
    [
        (["doctor"], 0, "backends\n  none installed\nmetrics\n  none installed\n"),
        (["weights", "list"], 0, "no backend is installed; try: pip install kvbench-"),
        (["budget"], 2, "no backend is installed; try: pip install kvbench-selfforcing-wan"),
    ],
)
def test_the_core_alone_says_what_is_missing(monkeypatch, command, code, sentence):
    names = ",".join(point.name for point in entry_points(group=GROUP))
    monkeypatch.setenv(BLOCK_VARIABLE, names)
    result = CliRunner().invoke(main, command)
    assert result.exit_code == code
    assert sentence in result.output
