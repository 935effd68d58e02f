"""Which family a method belongs to, for colours and filters."""

from __future__ import annotations

from collections.abc import Iterable

from kvbench_core.families import Families
from kvbench_core.registry import Registry
from kvbench_report.results import MethodInfo

OTHER = "other"


def families(methods: Iterable[MethodInfo], registry: Registry) -> dict[str, str]:
    """Each method's family by its name. Of a plugin that is not installed nothing is known."""
    known = Families.of(registry)
    return {
        method.name: known.family(method.label, method.expression) or OTHER for method in methods
    }
