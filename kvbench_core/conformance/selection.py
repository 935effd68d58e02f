"""Which registered things are checked: what a class covers, and what a user names."""

from __future__ import annotations

from collections.abc import Iterable
from inspect import Parameter, signature

from kvbench_core.conformance.base import SHIPPED
from kvbench_core.errors import UnknownNameError
from kvbench_core.naming import parse
from kvbench_core.registry import Entry, Registry, build_registry
from kvbench_core.specs import (
    BackendSpec,
    CommandSpec,
    MetricSpec,
    PartSpec,
    PolicySpec,
    Spec,
    SuiteSpec,
)

SPECS: dict[str, type[Spec]] = {
    "policy": PolicySpec,
    "backend": BackendSpec,
    "metric": MetricSpec,
    "suite": SuiteSpec,
    "command": CommandSpec,
}


def registered(kind: str, package: str | None = None) -> list[str]:
    """Names of one kind that a distribution registers, or everything installed.

    Parts that no preset of the same distribution uses are covered with their defaults, such as
    ``nibble()``.
    """
    registry = build_registry()
    names = [name for name, entry in registry.all(SPECS[kind]).items() if _from(entry, package)]
    return names + _unused_parts(registry, package) if kind == "policy" else names


def select(registry: Registry, texts: Iterable[str]) -> dict[str, list[str]]:
    """What a user's words mean, by kind: names, families and tags, or expressions of methods.

    A word that several kinds have means all of them.

    Raises:
        KvbenchError: a word means nothing.
    """
    chosen: dict[str, list[str]] = {kind: [] for kind in SPECS}
    for text in texts:
        named = {kind: [text] for kind, spec in SPECS.items() if text in registry.all(spec)}
        grouped = {kind: registry.group(spec, text) for kind, spec in SPECS.items()}
        found = named or grouped
        if not any(found.values()):
            found = {"policy": _expressions(registry, text)}
        for kind, names in found.items():
            chosen[kind] += names
    return chosen


def _expressions(registry: Registry, text: str) -> list[str]:
    """The methods that an expression stands for."""
    try:
        selected = registry.select([text])
        registry.expand(selected[0])
    except UnknownNameError as error:
        if error.name != text:
            raise
        known = [name for spec in SPECS.values() for name in registry.names(spec)]
        kinds = "method, generator, metric, suite or command"
        raise UnknownNameError(kinds, text, known) from error
    return selected


def _from(entry: Entry, package: str | None) -> bool:
    return package is None or _normal(entry.plugin.package) == _normal(package)


def _normal(distribution: str) -> str:
    return distribution.lower().replace("_", "-").replace(".", "-")


def _unused_parts(registry: Registry, package: str | None) -> list[str]:
    used = {
        term.name
        for entry in registry.all(PolicySpec).values()
        if isinstance(entry.spec, PolicySpec) and _from(entry, package)
        for term in parse(entry.spec.expression)
    }
    return [
        f"{name}()"
        for name, entry in registry.all(PartSpec).items()
        if _from(entry, package) and name not in used and _has_defaults(entry)
    ]


def _has_defaults(entry: Entry) -> bool:
    assert isinstance(entry.spec, PartSpec)
    parameters = signature(entry.spec.load()).parameters.values()
    return all(parameter.default is not Parameter.empty for parameter in parameters)


def overrides_subject(cls: type | None, kind: str) -> bool:
    """Whether a subclass outside the suite brings its own object of this kind."""
    return cls is not None and any(
        kind in vars(base) for base in cls.__mro__ if not base.__module__.startswith(SHIPPED)
    )
