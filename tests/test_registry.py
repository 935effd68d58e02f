"""Names to policies."""

from __future__ import annotations

import pytest

from kvbench_core.cache.codec import BF16
from kvbench_core.errors import (
    ExpressionError,
    KvbenchError,
    ParameterError,
    PluginError,
    UnknownNameError,
)
from kvbench_core.families import Families
from kvbench_core.parts import Recent
from kvbench_core.plugins import Plugin, Plugins
from kvbench_core.policy import Cadence, Composition
from kvbench_core.registry import build_registry
from kvbench_core.specs import PartSpec, PolicySpec

PRESETS = tuple(
    PolicySpec(name=name, family=family, summary="for tests", expression=text, tags=tags)
    for name, family, text, tags in [
        ("RECENT3", "RECENT", "bf16()+recent(3)", ("study",)),
        ("RECENT3_REFRESH", "RECENT", "RECENT3+refresh()", ()),
    ]
)


@pytest.fixture(scope="module")
def registry():
    from kvbench_core.plugins import load_plugins

    builtin = load_plugins([]).loaded
    return build_registry(Plugins((*builtin, Plugin("test", "test", "1", PRESETS)), ()))


def test_a_preset_is_its_expression(registry):
    expected = Composition(codec=BF16, tiering=Recent(3), cadence=Cadence.REFRESH_ONLY)
    assert registry.policy("RECENT3_REFRESH") == expected
    assert registry.policy("bf16 + recent(blocks=3) + refresh()") == expected


def test_a_preset_takes_the_parameters_of_its_parts(registry):
    assert registry.policy("RECENT3(blocks=5)") == registry.policy("bf16()+recent(5)")


def test_canonical_text_builds_an_equal_policy(registry):
    text = "+".join(map(str, registry.expand("RECENT3_REFRESH(blocks=4)")))
    assert text == "bf16()+recent(blocks=4)+refresh()"
    assert registry.policy(text) == registry.policy("RECENT3_REFRESH(blocks=4)")


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("RECENT", UnknownNameError, "no method is called 'RECENT'; did you mean"),
        ("recent3", UnknownNameError, "RECENT3"),
        ("recent(block=1)", UnknownNameError, "did you mean blocks?"),
        ("recent(1, 2)", ExpressionError, "more arguments than recent takes"),
        ("recent(1, blocks=2)", ExpressionError, "gives blocks twice"),
        ("recent(blocks=0)", ParameterError, "recent: blocks must be a whole number of at least 1"),
        ("recent(blocks=True)", ParameterError, "got True"),
        ("RECENT3(bits=1)", ExpressionError, "RECENT3 has no parameter 'bits'"),
        ("RECENT3(4)", ExpressionError, "name the parameter"),
        ("recent(1)+recent(2)", ExpressionError, "a method takes one tiering"),
        ("__import__('os')", UnknownNameError, "__import__"),
    ],
)
def test_mistakes_are_one_sentence(registry, text, error, message):
    with pytest.raises(error) as caught:
        registry.policy(text)
    assert isinstance(caught.value, KvbenchError)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_selection_by_name_family_tag_and_expression(registry):
    assert registry.select(["RECENT"]) == ["RECENT3", "RECENT3_REFRESH"]
    assert registry.select(["study"]) == ["BF16", "RECENT3"]
    assert registry.select(["all"]) == ["BF16", "BF16_WINDOW", "RECENT3", "RECENT3_REFRESH"]
    assert registry.select(["BF16", "bf16()+recent(1)", "BF16"]) == ["BF16", "bf16()+recent(1)"]


@pytest.mark.parametrize(
    ("label", "expression", "family"),
    [
        ("RECENT3", "anything", "RECENT"),
        ("RECENT3(blocks=5)", "bf16()+recent(blocks=5)", "RECENT"),
        ("RECENT3+window()", "bf16()+recent(blocks=3)+window()", "RECENT"),
        ("mine", "recent(blocks=9)+bf16()", "RECENT"),
        ("mine", "bf16()+window()", "BF16"),
        ("mine", "recent(blocks=9)", ""),
        ("mine", "no expression", ""),
    ],
)
def test_the_family_is_that_of_the_preset_or_of_the_parts(registry, label, expression, family):
    assert Families.of(registry).family(label, expression) == family


def test_a_part_is_added_to_those_of_a_group_that_lack_it(registry):
    assert registry.select(["RECENT+refresh()"]) == ["RECENT3+refresh()", "RECENT3_REFRESH"]
    assert registry.select(["study + window()"]) == ["BF16+window()", "RECENT3+window()"]
    assert registry.select(["RECENT3+window()"]) == ["RECENT3+window()"]


def test_a_preset_whose_parts_are_not_there_names_the_package(monkeypatch):
    lines = ["kvbench-core>=0.1", "kvbench-absent[fast]>=0.1", "kvbench-broken; extra == 'all'"]
    monkeypatch.setattr("kvbench_core.registry.requires", lambda package: lines)
    preset = PolicySpec(name="A", family="A", summary="for tests", expression="absent(bits=2)")
    plugin = Plugin("mine", "kvbench-mine", "1", (preset,))
    with pytest.raises(PluginError) as caught:
        build_registry(Plugins((plugin,), ())).policy("A(bits=4)")
    assert str(caught.value) == (
        "A needs the part 'absent', which no plugin provides; "
        "install kvbench-absent and kvbench-broken"
    )


def test_a_preset_whose_parts_were_skipped_says_where_to_look(monkeypatch):
    monkeypatch.setattr("kvbench_core.registry.requires", lambda package: ["kvbench-core>=0.1"])
    preset = PolicySpec(name="A", family="A", summary="for tests", expression="absent(bits=2)")
    plugin = Plugin("mine", "kvbench-mine", "1", (preset,))
    with pytest.raises(PluginError, match="'absent', which no plugin provides; see `kvbench list"):
        build_registry(Plugins((plugin,), ())).policy("A")


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("no_such_module:x", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("kvbench_core.parts:Recnet", "AttributeError: module 'kvbench_core.parts' has no attr"),
    ],
)
def test_a_part_that_cannot_be_imported_is_one_sentence(target, reason):
    part = PartSpec(name="mine", kind="tiering", summary="for tests", target=target)
    registry = build_registry(Plugins((Plugin("mine", "kvbench-mine", "1", (part,)),), ()))
    with pytest.raises(PluginError, match=f"^mine cannot be loaded from {target}: {reason}"):
        registry.policy("mine()")
