"""Names to implementations: who provides what, and what a method expression means."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, distributions, requires
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import evolve, field, frozen

from kvbench_core.errors import ExpressionError, KvbenchError, PluginError, UnknownNameError
from kvbench_core.naming import Term, parse
from kvbench_core.plugins import Failure, Plugin, Plugins, load_plugins
from kvbench_core.specs import (
    BackendSpec,
    CommandSpec,
    Loadable,
    MetricSpec,
    PartSpec,
    PolicySpec,
    Spec,
    SuiteSpec,
)

if TYPE_CHECKING:
    from kvbench_core.backend import Backend
    from kvbench_core.metric import Metric
    from kvbench_core.policy import Policy
    from kvbench_core.suite import Suite

SpecT = TypeVar("SpecT", bound=Spec)
KINDS: dict[type[Spec], str] = {
    PartSpec: "part",
    PolicySpec: "method",
    BackendSpec: "backend",
    MetricSpec: "metric",
    SuiteSpec: "suite",
    CommandSpec: "command",
}

PACKAGES: dict[type[Spec], str] = {
    BackendSpec: "; try: pip install kvbench-selfforcing-wan",
    MetricSpec: "; try: pip install kvbench-fidelity",
}
"""Our own package to begin with, where nothing of a kind is there."""


@frozen
class Entry:
    """A spec and the plugin that provides it."""

    spec: Spec
    plugin: Plugin


@frozen
class Registry:
    """Everything that the loaded plugins register, by kind and name."""

    entries: Mapping[tuple[type[Spec], str], Entry]
    failed: tuple[Failure, ...] = field(default=())

    def all(self, kind: type[SpecT]) -> dict[str, Entry]:
        """Entries of one kind by name, in order of registration."""
        return {name: entry for (k, name), entry in self.entries.items() if k is kind}

    def find(self, kind: type[SpecT], name: str) -> SpecT:
        """The spec called ``name``.

        Raises:
            UnknownNameError: nothing of that kind has the name.
            PluginError: there is nothing of that kind.
        """
        entry = self.entries.get((kind, name))
        if entry is None:
            if not self.all(kind):
                raise PluginError(f"no {KINDS[kind]} is installed{PACKAGES.get(kind, '')}")
            raise UnknownNameError(KINDS[kind], name, self.all(kind))
        assert isinstance(entry.spec, kind)
        return entry.spec

    def group(self, kind: type[SpecT], name: str) -> list[str]:
        """The names of a family, with a tag, or ``all``; none where ``name`` is one itself."""
        entries = self.all(kind)
        members = [one for one, entry in entries.items() if name in entry.spec.groups]
        return [] if name in entries else members

    def names(self, kind: type[SpecT]) -> list[str]:
        """Every name of the kind and of its groups, for suggestions."""
        entries = self.all(kind)
        return [*entries, *{group for entry in entries.values() for group in entry.spec.groups}]

    def backend(self, name: str) -> Backend:
        """The backend called ``name``, weights not yet loaded."""
        backend: Backend = _called(self.find(BackendSpec, name))
        return backend

    def metric(self, name: str) -> Metric:
        """The metric called ``name``."""
        metric: Metric = _called(self.find(MetricSpec, name))
        return metric

    def suite(self, name: str) -> Suite:
        """The registered suite called ``name``."""
        suite: Suite = _called(self.find(SuiteSpec, name))
        return suite

    def policy(self, text: str) -> Policy:
        """The policy that an expression over parts and preset names stands for.

        A preset's name may carry parameters, ``RTN_INT4(bits=3)``: they replace those of the one
        part that has them.

        Raises:
            UnknownNameError: no part or preset has a name that occurs in ``text``.
            ExpressionError: the text or the combination makes no sense.
            ParameterError: a parameter is out of range.
        """
        from kvbench_core.policy import Policy, compose

        parts = [self._built(term) for term in self.expand(text)]
        if len(parts) == 1 and isinstance(parts[0], Policy):
            return parts[0]
        return compose(parts)

    def expand(self, text: str) -> tuple[Term, ...]:
        """``text`` as terms over parts alone, presets replaced, every argument named."""
        expanded: list[Term] = []
        for term in parse(text):
            preset = self.entries.get((PolicySpec, term.name))
            if preset is None:
                expanded.append(self._named(term))
            else:
                expanded += self._overridden(self._preset(preset), term)
        return tuple(expanded)

    def _preset(self, preset: Entry) -> tuple[Term, ...]:
        assert isinstance(preset.spec, PolicySpec)
        try:
            return self.expand(preset.spec.expression)
        except UnknownNameError as error:
            if error.kind != "method":
                raise
            missing = " and ".join(_not_installed(preset.plugin.package))
            raise PluginError(
                f"{preset.spec.name} needs the part {error.name!r}, which no plugin provides; "
                + (f"install {missing}" if missing else "see `kvbench list`")
            ) from error

    def _named(self, term: Term) -> Term:
        """A part's term with its positional arguments named and its names checked, inside out."""
        known = self._parameters(term.name)
        if len(term.positional) > len(known):
            raise ExpressionError(f"{term} has more arguments than {term.name} takes")
        arguments = dict(zip(known, term.positional, strict=False))
        for key, value in term.arguments.items():
            if key not in known:
                raise UnknownNameError(f"parameter of {term.name}", key, known)
            if key in arguments:
                raise ExpressionError(f"{term} gives {key} twice")
            arguments[key] = value
        nested = {k: self._named(v) if isinstance(v, Term) else v for k, v in arguments.items()}
        return Term(term.name, nested)

    def _part(self, name: str) -> PartSpec:
        if (PartSpec, name) not in self.entries:
            raise UnknownNameError("method", name, [*self.names(PolicySpec), *self.all(PartSpec)])
        return self.find(PartSpec, name)

    def _overridden(self, terms: tuple[Term, ...], preset: Term) -> list[Term]:
        """The preset's terms with its own arguments put into the parts that have them."""
        if preset.positional:
            raise ExpressionError(f"{preset}: name the parameter, as in {preset.name}(bits=3)")
        changed = list(terms)
        for key, value in preset.arguments.items():
            owners = [i for i, term in enumerate(terms) if key in self._parameters(term.name)]
            if len(owners) != 1:
                options = sorted({p for term in terms for p in self._parameters(term.name)})
                raise ExpressionError(
                    f"{preset.name} has {'no' if not owners else 'more than one'} parameter "
                    f"{key!r}; its parts take {', '.join(options) or 'none'}"
                )
            target = changed[owners[0]]
            named = self._named(value) if isinstance(value, Term) else value
            changed[owners[0]] = evolve(target, arguments={**target.arguments, key: named})
        return changed

    def _parameters(self, part: str) -> tuple[str, ...]:
        from inspect import signature

        return tuple(signature(self._part(part).load()).parameters)

    def _built(self, term: Term) -> object:
        arguments = {
            key: self._built(value) if isinstance(value, Term) else value
            for key, value in term.arguments.items()
        }
        return self._part(term.name).load()(**arguments)

    def select(self, names: Iterable[str]) -> list[str]:
        """Method names from a mix of names, expressions, families, tags and ``all``, in order.

        What follows a group is added to each of its methods that lacks it: ``study+window()``.
        Integrations (``RTN_INT4@reconstruct``) stay attached.
        """
        selected: list[str] = []
        for text in names:
            name, plus, more = (piece.strip() for piece in text.partition("+"))
            group = self.group(PolicySpec, name)
            extended = (self._with(member, more) for member in group) if plus else group
            selected += extended if group else [text]
        return list(dict.fromkeys(selected))

    def _with(self, method: str, parts: str) -> str:
        present = self.expand(method)
        return (
            method if all(part in present for part in self.expand(parts)) else f"{method}+{parts}"
        )


def _not_installed(package: str) -> list[str]:
    """What ``package`` requires, extras included, and does not find."""
    try:
        lines = requires(package) or []
    except PackageNotFoundError:
        return []
    wanted = [re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in lines]
    present = {dist.name for dist in distributions()}
    return [name for name in wanted if name not in present]


def _called(spec: Loadable) -> Any:
    try:
        return spec.load()()
    except KvbenchError:
        raise
    except ImportError as error:
        raise PluginError(f"{spec.name} cannot be loaded: {error}") from error


def build_registry(plugins: Plugins | None = None) -> Registry:
    """The registry of what is installed.

    A plugin that claims a name which another already has is skipped whole and reported.
    """
    plugins = load_plugins() if plugins is None else plugins
    entries: dict[tuple[type[Spec], str], Entry] = {}
    failed = list(plugins.failed)
    for plugin in plugins.loaded:
        claims = {(type(spec), spec.name): Entry(spec, plugin) for spec in plugin.specs}
        taken = next((key for key in claims if key in entries), None)
        if taken:
            owner = entries[taken].plugin.package
            reason = f"{KINDS[taken[0]]} {taken[1]} is already provided by {owner}"
            failed.append(Failure(plugin.name, plugin.package, plugin.version, reason))
        else:
            entries |= claims
    return Registry(entries, tuple(failed))
