"""What is said where the package, what it imports or weights are missing."""

from __future__ import annotations

import importlib.util
import socket
import subprocess

import pytest

from kvbench_core.errors import MetricUnavailableError
from kvbench_core.registry import build_registry
from kvbench_vbench import DIMENSIONS
from kvbench_vbench.weights import FOLDER_VARIABLE, VOCABULARY


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    """Neither a connection nor a program such as wget."""

    def refuse(*_, **__):
        raise AssertionError("something was to be fetched")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(subprocess, "Popen", refuse)


@pytest.mark.parametrize("name", list(DIMENSIONS))
def test_missing_weights_name_file_place_size_and_source(name, monkeypatch, tmp_path):
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    metric = build_registry().metric(name)
    if name == "temporal_flickering":
        metric.check_available()
        assert metric.weights == ()
        return
    first = metric.weights[0]
    with pytest.raises(MetricUnavailableError) as caught:
        metric.check_available()
    for part in (str(tmp_path / first.path), first.size, first.url, FOLDER_VARIABLE):
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", list(DIMENSIONS))
def test_weights_with_a_known_digest_are_checked(name, monkeypatch, tmp_path):
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    for weights in build_registry().metric(name).weights:
        path = tmp_path / weights.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"random")
        if weights.sha256:
            with pytest.raises(MetricUnavailableError, match="damaged or not VBench's") as caught:
                weights.find()
            assert str(path) in str(caught.value)
        else:
            assert weights.find() == path


@pytest.mark.parametrize("name", list(DIMENSIONS))
def test_vbench_looks_in_the_same_places(name, monkeypatch, tmp_path):
    import vbench.utils

    monkeypatch.setattr(vbench.utils, "CACHE_DIR", str(tmp_path))
    weights = build_registry().metric(name).weights
    for item in weights:
        (tmp_path / item.path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / item.path).touch()
    details = str(vbench.utils.init_submodules([name], local=True)[name])
    for item in weights:
        if item is not VOCABULARY:  # read when the module is imported
            assert str((tmp_path / item.path).parent) in details


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("temporal_flickering", "vbench"),
        ("temporal_flickering", "decord"),
        ("imaging_quality", "pyiqa"),
        ("background_consistency", "pkg_resources"),
        ("motion_smoothness", "omegaconf"),
    ],
)
def test_a_missing_module_is_named_with_the_way_to_install_it(name, module, monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        "kvbench_vbench.package.find_spec",
        lambda wanted: None if wanted == module else found(wanted),
    )
    with pytest.raises(MetricUnavailableError) as caught:
        build_registry().metric(name).check_available()
    assert f"{name} needs the Python modules {module}, which are not installed" in str(caught.value)
    assert "pip install --no-deps vbench==0.1.5" in str(caught.value)
