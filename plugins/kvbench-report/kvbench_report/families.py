"""Which family a method belongs to, for colours and filters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from kvbench_core.errors import ExpressionError
from kvbench_core.naming import parse
from kvbench_core.registry import Registry
from kvbench_core.specs import PolicySpec
from kvbench_report.results import MethodInfo

OTHER = "other"


def families(methods: Iterable[MethodInfo], registry: Registry) -> dict[str, str]:
    """Each method's family by its name.

    A preset says it. An expression has the family of the presets made of the same parts, as
    ``rtn(bits=3)+recent(blocks=1)`` is RTN; ``+window()`` goes with any family. Of a plugin that is
    not installed nothing is known.
    """
    presets = [entry.spec for entry in registry.all(PolicySpec).values()]
    by_name = {spec.name: spec.family for spec in presets if isinstance(spec, PolicySpec)}
    by_parts = {
        _parts(spec.expression): spec.family for spec in presets if isinstance(spec, PolicySpec)
    }
    return {method.name: _family(method, by_name, by_parts) for method in methods}


def _family(
    method: MethodInfo,
    by_name: Mapping[str, str],
    by_parts: Mapping[frozenset[str], str],
) -> str:
    preset = method.label.partition("(")[0]
    return by_name.get(preset) or by_parts.get(_parts(method.expression), OTHER)


def _parts(expression: str) -> frozenset[str]:
    """The names of the parts that make a family; empty if the expression cannot be read."""
    try:
        return frozenset(term.name for term in parse(expression)) - {"window"}
    except ExpressionError:
        return frozenset()
