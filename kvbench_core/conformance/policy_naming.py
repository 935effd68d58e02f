"""Clauses P20 and P21: a method's parameters and its expression."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from attrs import evolve

from kvbench_core.conformance.base import Conformance
from kvbench_core.conformance.inputs import PLAIN, Inputs
from kvbench_core.conformance.rollout import play
from kvbench_core.errors import KvbenchError, ParameterError
from kvbench_core.naming import Term
from kvbench_core.policy import Policy, compose
from kvbench_core.registry import Registry, build_registry
from kvbench_core.specs import PartSpec

NEVER_VALID = (object(), math.nan)
RARELY_VALID = (-1, 0, 0.5, 1000, "x", True, None)


class NamingClauses(Conformance):
    """What the text of a method means."""

    def test_p20_bad_parameters_are_refused(self, method: str | None) -> None:
        for term, parameter, build in _parameters(method):
            for value in NEVER_VALID:
                refusal = _refusal(term, parameter, value, build)
                assert refusal is not None, (
                    f"P20: {term.name}({parameter}={value!r}) is no method; it was accepted"
                )
                assert parameter in str(refusal), (
                    f"P20: a refusal names the parameter {parameter}; it says {refusal}"
                )

    def test_p20_accepted_parameters_work(self, method: str | None) -> None:
        for term, parameter, build in _parameters(method):
            for value in RARELY_VALID:
                if _refusal(term, parameter, value, build) is None:
                    _check_working(build(value), f"{term.name}({parameter}={value!r})")

    def test_p21_the_expanded_text_builds_an_equal_policy(self, method: str | None) -> None:
        name, registry = _named(method), build_registry()
        text = "+".join(map(str, registry.expand(name)))
        again = "+".join(map(str, registry.expand(text)))
        assert again == text, f"P21: {name} expands to {text}, which expands to itself; got {again}"
        assert registry.policy(text) == registry.policy(name), (
            f"P21: {name} means {text}, and policies compare by value; these two differ"
        )


def _named(method: str | None) -> str:
    if method is None:
        pytest.skip("the policy has no registered name")
    return method


class _Build:
    """Builds the method with one parameter of one part changed."""

    def __init__(self, registry: Registry, terms: tuple[Term, ...], which: int, key: str) -> None:
        self._registry, self._terms, self._which, self._key = registry, terms, which, key

    def __call__(self, value: Any) -> Policy:
        parts = [
            self._part(evolve(term, arguments={**term.arguments, self._key: value}))
            if index == self._which
            else self._part(term)
            for index, term in enumerate(self._terms)
        ]
        return parts[0] if len(parts) == 1 and isinstance(parts[0], Policy) else compose(parts)

    def _part(self, term: Term) -> Any:
        arguments = {
            key: self._part(value) if isinstance(value, Term) else value
            for key, value in term.arguments.items()
        }
        return self._registry.find(PartSpec, term.name).load()(**arguments)


def _parameters(method: str | None) -> Iterator[tuple[Term, str, _Build]]:
    """Every parameter of every part of a method."""
    from inspect import signature

    registry = build_registry()
    terms = registry.expand(_named(method))
    for index, term in enumerate(terms):
        for key in signature(registry.find(PartSpec, term.name).load()).parameters:
            yield term, key, _Build(registry, terms, index, key)


def _refusal(term: Term, parameter: str, value: object, build: _Build) -> ParameterError | None:
    """The error by which a value is refused, or ``None`` if it is accepted."""
    try:
        build(value)
    except ParameterError as refusal:
        return refusal
    except Exception as error:  # whatever the part raised instead is what the test reports
        pytest.fail(
            f"P20: {term.name}({parameter}={value!r}) is refused with a ParameterError; it raised "
            f"{type(error).__name__}: {error}"
        )
    return None


def _check_working(policy: Policy, text: str) -> None:
    """A value that was accepted has to work, or to say in one sentence why it cannot."""
    try:
        played = play(policy, Inputs.make(evolve(PLAIN, layers=1), chunks=2))
    except KvbenchError:
        return
    except Exception as error:
        pytest.fail(f"P20: {text} was accepted and fails: {type(error).__name__}: {error}")
    finite = all(torch.isfinite(out).all() for layers in played.outputs for out in layers)
    assert finite, f"P20: {text} was accepted and gives values that are not finite"
