"""The shipped suite itself: its clauses are written down, cannot be replaced, and cost nothing."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from _pytest.outcomes import Failed
from attrs import field, frozen

from kvbench_core.cache import BF16, KVCodec
from kvbench_core.conformance import policy_naming
from kvbench_core.conformance.backend import BackendConformance
from kvbench_core.conformance.command import CommandConformance
from kvbench_core.conformance.metric import MetricConformance
from kvbench_core.conformance.policy import PolicyConformance
from kvbench_core.conformance.report import Failed as Broken
from kvbench_core.conformance.report import Report, Subject
from kvbench_core.conformance.selection import SPECS, select
from kvbench_core.conformance.suite import SuiteConformance
from kvbench_core.parts import Recent
from kvbench_core.plugins import Plugin, Plugins, load_plugins
from kvbench_core.registry import build_registry
from kvbench_core.specs import PartSpec

CONTRACT = Path(__file__).parents[1] / "docs" / "contract.md"
SUITES = (
    PolicyConformance,
    BackendConformance,
    MetricConformance,
    SuiteConformance,
    CommandConformance,
)


def clause_tests() -> list[str]:
    return [name for suite in SUITES for name in dir(suite) if name.startswith("test_")]


def test_every_clause_of_the_contract_is_checked_and_every_check_is_in_the_contract():
    written = re.findall(r"^- \*\*([PBMSC]\d+)\*\*", CONTRACT.read_text(), flags=re.M)
    assert len(written) == len(set(written))
    checked = {name.split("_")[1].upper() for name in clause_tests()}
    assert checked == set(written)


# Clauses cannot be replaced


def test_a_subclass_may_add_tests_and_bring_its_own_policy():
    class TestMine(PolicyConformance, package="some-package"):
        @pytest.fixture
        def policy(self):
            return None

        def test_something_of_mine(self):
            pass

    assert TestMine.package == "some-package"


def subclass(**members: object) -> type:
    return type("TestMine", (PolicyConformance,), {"__module__": __name__, **members})


CLAUSE = "test_p13_equal_rollouts_are_equal"


@pytest.mark.parametrize("name", [CLAUSE, "one_thread", "attached", "coded", "overridable"])
@pytest.mark.parametrize("value", [None, lambda self: None], ids=["None", "function"])
def test_a_subclass_that_replaces_a_clause_is_refused(name, value):
    with pytest.raises(TypeError, match=f"TestMine.{name} replaces a part of the contract"):
        subclass(**{name: value})


def test_nor_may_a_subclass_of_a_subclass():
    middle = subclass()
    with pytest.raises(TypeError, match="replaces a part"):
        type("TestMore", (middle,), {"__module__": __name__, CLAUSE: None})


@pytest.mark.parametrize(
    ("failures", "message"),
    [({CLAUSE: " "}, "without a reason"), ({"test_p99_nothing": "why"}, "which is no clause")],
)
def test_a_known_failure_needs_a_clause_and_a_reason(failures, message):
    with pytest.raises(TypeError, match=message):
        subclass(known_failures=failures)


KNOWN = f"""
import itertools, pytest
from kvbench_core.conformance.policy import PolicyConformance
from kvbench_core.policy import Composition

class TestFine(PolicyConformance):
    known_failures = {{"{CLAUSE}": "it was broken once"}}

    @pytest.fixture
    def policy(self):
        return Composition()
"""


def test_a_known_failure_has_to_fail(tmp_path):
    (tmp_path / "test_known.py").write_text(KNOWN)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "p13", "."]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert "[XPASS(strict)] it was broken once" in done.stdout
    assert "1 failed, 1 passed" in done.stdout


# Parameters and expressions


@frozen
class Careless(Recent):
    """Checks nothing."""

    blocks: int = 2


@frozen
class Vague(Recent):
    """Accepts zero, and fails later."""

    blocks: int = field(default=2)

    def __attrs_post_init__(self):
        Recent(self.blocks or 1)

    def layer_cache(self, codec, layer, context):
        return Recent(3 // self.blocks).layer_cache(codec, layer, context)


@frozen(eq=False)
class Unequal(Recent):
    """Two of the same are not equal."""

    __eq__ = object.__eq__
    __hash__ = object.__hash__


def asserting(blocks: int = 2) -> KVCodec:
    """Asserts instead of refusing."""
    assert blocks > 0
    assert isinstance(blocks, int)
    return BF16


@pytest.mark.parametrize(
    ("part", "clause"),
    [
        ("Careless", "test_p20_bad_parameters_are_refused"),
        ("asserting", "test_p20_bad_parameters_are_refused"),
        ("Vague", "test_p20_accepted_parameters_work"),
        ("Unequal", "test_p21_the_expanded_text_builds_an_equal_policy"),
    ],
)
def test_a_broken_part_is_caught(part, clause, monkeypatch):
    spec = PartSpec(name="part", kind="tiering", summary="x", target=f"{__name__}:{part}")
    plugins = Plugins((*load_plugins([]).loaded, Plugin("x", "x", "1", (spec,))), ())
    monkeypatch.setattr(policy_naming, "build_registry", lambda: build_registry(plugins))
    check = getattr(PolicyConformance(), clause)
    check("bf16()+recent(2)")
    with pytest.raises((AssertionError, Failed), match=f"^{clause.split('_')[1].upper()}: "):
        check("part(blocks=2)")


# The plugin and the command


def test_pytest_starts_without_torch():
    program = (
        "import sys, kvbench_core.conformance.pytest_plugin as plugin;"
        "heavy = {'torch', 'numpy', 'attrs', 'pluggy'} & set(sys.modules) - {'pluggy'};"
        "sys.exit(f'imports {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_conformance_of_the_toy_plugin(cli):
    result = cli("conformance", "toy-suite", "light", "error")
    assert result.exit_code == 0, result.output
    assert [line.split(":")[0] for line in result.output.splitlines()] == [
        "metric light",
        "metric error",
        "suite toy-suite",
    ]


def test_what_is_checked_is_named_as_elsewhere(toy):
    registry = build_registry()
    nothing: dict[str, list[str]] = {kind: [] for kind in SPECS}
    assert select(registry, ["fidelity"]) == nothing | {"metric": ["psnr", "ssim"]}
    assert select(registry, ["TOY", "coarse(step=1)"]) == nothing | {
        "policy": ["COARSE", "COARSE_RECENT", "coarse(step=1)"]
    }
    # A name goes before a family of other things.
    assert select(registry, ["toy"]) == nothing | {"backend": ["toy"]}
    everything = select(registry, ["all"])
    assert {kind: set(names) for kind, names in everything.items()} == {
        kind: set(registry.all(spec)) for kind, spec in SPECS.items()
    }


def test_a_method_that_breaks_the_contract_gives_exit_code_1(cli):
    result = cli("conformance", "failing()")
    assert result.exit_code == 1, result.output
    summary, *failures = result.output.splitlines()
    failed, checked = map(
        int, re.findall(r"policy failing\(\): (\d+) of (\d+) checks fail", summary)[0]
    )
    assert 0 < failed < checked
    crash = next(i for i, line in enumerate(failures) if "ZeroDivisionError: codes (" in line)
    assert re.search(r"toy_methods\.py:\d+\)$", failures[crash])
    assert re.fullmatch(r"  test_p\S+ and \d+ more", failures[crash - 1])


def test_a_report_for_json():
    subject = Subject("policy", "mine()", held=3)
    assert Report([subject]).as_dict()["kept"]
    subject.failed.append(Broken("P1", "test_p1_shape", "P1: the shape is that of q"))
    report = Report([subject]).as_dict()
    assert report["kept"] is False
    assert report["subjects"][0]["failed"][0]["clause"] == "P1"
    assert not Report(errors=["a module that cannot be imported"]).kept


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["lihgt"],
            "no method, generator, metric, suite or command is called 'lihgt'; did you mean light",
        ),
        (["fidelty"], "is called 'fidelty'; did you mean fidelity"),
        (["coarse(stp=1)"], "no parameter of coarse is called 'stp'; did you mean step?"),
        (["coarse("], "cannot read 'coarse('"),
    ],
)
def test_a_name_that_means_nothing_is_one_line(cli, arguments, message):
    result = cli("conformance", *arguments)
    assert result.exit_code == 2
    assert message in result.output
    assert result.output.count("\n") == 1


def test_without_pytest_the_command_says_what_to_install(cli, monkeypatch):
    monkeypatch.setattr("kvbench_core.cli.conformance.find_spec", lambda name: None)
    result = cli("conformance", "light")
    assert result.exit_code == 2
    assert "pip install 'kvbench-core[conformance]'" in result.output


def test_the_callers_conftest_plays_no_part(cli, tmp_path, monkeypatch):
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "conftest.py").write_text("raise RuntimeError('not yours')\n")
    monkeypatch.chdir(tmp_path)  # pytest would load the conftest of a folder called tests
    result = cli("conformance", "table")
    assert result.exit_code == 0, result.output
    assert "pass" in result.output
