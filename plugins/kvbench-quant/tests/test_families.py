"""No family of codecs has packing of its own, and none reaches into another's."""

from __future__ import annotations

import ast
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path

import pytest

FAMILIES = ("kvbench_rtn", "kvbench_kivi", "kvbench_quarot", "kvbench_residual")
PARTS = {"kvbench_rtn.codec": {"Rtn"}}  # what one family may take of another: its part
BIT_WORK = {"pack", "unpack", "store", "Levels", "Sum"}


def imports(package):
    """``(module, name)`` of every import in a package's modules."""
    for folder in find_spec(package).submodule_search_locations:
        for path in Path(folder).glob("**/*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Import):
                    yield from ((alias.name, None) for alias in node.names)
                elif isinstance(node, ast.ImportFrom):
                    yield from ((node.module, alias.name) for alias in node.names)


@pytest.mark.parametrize("family", FAMILIES)
def test_families_share_the_library_and_nothing_else(family):
    if find_spec(family) is None:
        pytest.skip(f"{family} is not installed")
    for module, name in imports(family):
        top = module.partition(".")[0]
        if top == "kvbench_quant":
            assert module == "kvbench_quant", f"{family} reaches into {module}"
            assert name not in BIT_WORK, f"{family} packs codes itself"
        elif top.startswith("kvbench_") and top not in ("kvbench_core", family):
            assert name in PARTS.get(module, ()), f"{family} takes {name} of {module}"


def test_the_library_registers_nothing():
    assert "kvbench_quant" not in {entry.value for entry in entry_points(group="kvbench")}
