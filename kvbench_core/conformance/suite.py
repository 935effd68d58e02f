"""The suite clauses (``docs/contract.md``, S1 to S3)."""

from __future__ import annotations

from typing import ClassVar

import pytest

from kvbench_core.conformance.base import Conformance
from kvbench_core.conformance.rollout import global_seed
from kvbench_core.registry import build_registry
from kvbench_core.specs import SuiteSpec
from kvbench_core.suite import Suite, SuiteUnavailableError


class SuiteConformance(Conformance):
    """What a prompt suite promises. Override ``suite`` with one that has no registered name."""

    overridable: ClassVar[frozenset[str]] = frozenset({"suite"})

    @pytest.fixture
    def suite(self, kvbench_suite: str) -> Suite:
        """The suite under test."""
        try:
            return build_registry().suite(kvbench_suite)
        except SuiteUnavailableError as error:
            pytest.skip(str(error))

    def test_s1_ids_are_distinct_and_texts_are_not_empty(self, suite: Suite) -> None:
        ids = [prompt.id for prompt in suite.prompts]
        assert ids, f"S1: {suite.name} has at least one prompt"
        assert len({name.casefold() for name in ids}) == len(ids), (
            "S1: ids are distinct, also where upper and lower case are the same"
        )
        for prompt in suite.prompts:
            assert prompt.text.strip(), f"S1: prompt {prompt.id} has a text"

    def test_s2_indices_count_from_zero(self, suite: Suite) -> None:
        indices = [prompt.index for prompt in suite.prompts]
        assert indices == list(range(len(indices))), (
            f"S2: a prompt's index is its place, since its seed follows from it; got {indices[:9]}"
        )

    def test_s3_a_suite_is_always_the_same(self, suite: Suite, kvbench_suite: str | None) -> None:
        if kvbench_suite is None:
            pytest.skip("the suite has no registered name")
        spec = build_registry().find(SuiteSpec, kvbench_suite)
        suites = [suite]
        for seed in (1, 2):
            with global_seed(seed) as untouched:
                suites.append(spec.load()())
                assert untouched(), "S3: the global random generators are left alone"
        assert suites[0] == suites[1] == suites[2], (
            "S3: making a suite twice gives the same prompts"
        )
        assert suites[0].name == kvbench_suite, (
            f"S3: a suite is called what it is registered as, {kvbench_suite}; got {suites[0].name}"
        )
