"""Loading plugins: a broken one is named and skipped, the rest keep working."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint

import pytest

from kvbench_core.plugins import BLOCK_VARIABLE, Plugin, Plugins, load_plugins
from kvbench_core.registry import build_registry
from kvbench_core.specs import PartSpec, PolicySpec

GOOD = """
from kvbench_core.hookspecs import hookimpl
from kvbench_core.specs import PolicySpec

@hookimpl
def kvbench_policies():
    return [PolicySpec(name="GOOD", family="TEST", summary="a method", expression="bf16()")]
"""
BROKEN = {
    "does_not_import": ("import nothing_of_that_name", "ModuleNotFoundError"),
    "raises": ("raise ValueError('boom')", "ValueError: boom"),
    "exits": ("raise SystemExit(3)", "SystemExit: 3"),
    "misspelt": (
        "from kvbench_core.hookspecs import hookimpl\n@hookimpl\ndef kvbench_polices(): return []",
        "kvbench_polices",
    ),
    "nonsense": (
        "from kvbench_core.hookspecs import hookimpl\n@hookimpl\ndef kvbench_parts(): return [42]",
        "kvbench_parts returned 42, which is no PartSpec",
    ),
    "none": (
        "from kvbench_core.hookspecs import hookimpl\n@hookimpl\ndef kvbench_parts(): return 3",
        "TypeError",
    ),
    "validated": (
        "from kvbench_core.specs import PartSpec\n"
        "PartSpec(name='a', kind='kodec', summary='x', target='a:b')",
        "ValueError: 'kind' must be in ('codec', 'tiering', 'retention', 'cadence', 'reuse') "
        "(got 'kodec')",
    ),
    "from_the_future": ("KVBENCH_HOOK_API = 99", "written for hook API 99"),
}


@pytest.fixture
def point(tmp_path, monkeypatch):
    """Write a module and give the entry point that names it."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(name: str, source: str) -> EntryPoint:
        module = f"plugin_under_test_{name}"
        (tmp_path / f"{module}.py").write_text(source, encoding="utf-8")
        monkeypatch.delitem(sys.modules, module, raising=False)
        return EntryPoint(name, module, "kvbench")

    return write


@pytest.mark.parametrize("name", BROKEN)
def test_broken_plugin_is_reported_and_others_load(point, name):
    source, reason = BROKEN[name]
    plugins = load_plugins([point(name, source), point("good", GOOD)])
    (failure,) = plugins.failed
    assert failure.name == name
    assert reason in failure.reason
    assert "Attribute(" not in failure.reason
    assert "Traceback" in failure.details
    assert "GOOD" in build_registry(plugins).all(PolicySpec)


def test_block_list(point, monkeypatch):
    monkeypatch.setenv("KVBENCH_BLOCK_PLUGINS", "good, other")
    plugins = load_plugins([point("good", GOOD)])
    assert [plugin.name for plugin in plugins.loaded] == ["builtin"]
    assert plugins.failed[0].reason == "blocked by KVBENCH_BLOCK_PLUGINS"


def test_the_same_name_twice_names_both_packages():
    def part(summary):
        return PartSpec(name="rtn", kind="codec", summary=summary, target="a:b")

    registry = build_registry(
        Plugins(
            (Plugin("a", "first", "1", (part("x"),)), Plugin("b", "second", "2", (part("y"),))), ()
        )
    )
    (failure,) = registry.failed
    assert (failure.package, failure.reason) == ("second", "part rtn is already provided by first")


def test_importing_the_core_and_every_plugin_needs_no_torch(monkeypatch):
    import subprocess

    monkeypatch.delenv(BLOCK_VARIABLE)
    code = "import sys; from kvbench_core.registry import build_registry; build_registry();"
    code += "sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
