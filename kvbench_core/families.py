"""Which family a method belongs to, for colours, filters and tables."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen

from kvbench_core.errors import ExpressionError
from kvbench_core.naming import parse
from kvbench_core.registry import Registry
from kvbench_core.specs import PolicySpec


@frozen
class Families:
    """The families of the installed presets, by their names and by the parts they are made of."""

    by_name: Mapping[str, str]
    by_parts: Mapping[frozenset[str], str]

    @classmethod
    def of(cls, registry: Registry) -> Families:
        """Those of what the registry has."""
        presets = [registry.find(PolicySpec, name) for name in registry.all(PolicySpec)]
        return cls(
            {preset.name: preset.family for preset in presets},
            {_parts(preset.expression): preset.family for preset in presets},
        )

    def family(self, label: str, expression: str) -> str:
        """The family of a method that was asked for as ``label``; empty if nothing is known of it.

        A preset says it. An ``expression`` over parts has the family of the presets made of the
        same parts, as ``rtn(bits=3)+recent(blocks=1)`` is RTN; ``+window()`` goes with any family.
        """
        preset = label.partition("(")[0]
        return self.by_name.get(preset) or self.by_parts.get(_parts(expression), "")


def _parts(expression: str) -> frozenset[str]:
    """The names of the parts that make a family; empty if the expression cannot be read."""
    try:
        return frozenset(term.name for term in parse(expression)) - {"window"}
    except ExpressionError:
        return frozenset()
