"""Finding plugins, and keeping a broken one from breaking the rest."""

from __future__ import annotations

import os
import traceback
from collections.abc import Iterable
from importlib.metadata import EntryPoint, entry_points, version
from types import ModuleType

import pluggy
from attrs import Attribute, field, frozen

from kvbench_core import builtin, hookspecs
from kvbench_core.specs import (
    BackendSpec,
    CommandSpec,
    MetricSpec,
    PartSpec,
    PolicySpec,
    Spec,
    SuiteSpec,
)

GROUP = "kvbench"
BLOCK_VARIABLE = "KVBENCH_BLOCK_PLUGINS"
BLOCKED = f"blocked by {BLOCK_VARIABLE}"
HOOKS: dict[str, type[Spec]] = {
    "kvbench_parts": PartSpec,
    "kvbench_policies": PolicySpec,
    "kvbench_backends": BackendSpec,
    "kvbench_metrics": MetricSpec,
    "kvbench_suites": SuiteSpec,
    "kvbench_commands": CommandSpec,
}


@frozen
class Plugin:
    """A loaded plugin, the distribution that brought it, and what it registers."""

    name: str
    package: str
    version: str
    specs: tuple[Spec, ...] = ()


@frozen
class Failure:
    """A plugin that was skipped, why in one line, and the traceback if there is one."""

    name: str
    package: str
    version: str
    reason: str
    details: str = field(default="", repr=False)


@frozen
class Plugins:
    """Everything that was found."""

    loaded: tuple[Plugin, ...]
    failed: tuple[Failure, ...]


def load_plugins(points: Iterable[EntryPoint] | None = None) -> Plugins:
    """Load the built-in plugin and every entry point of group ``kvbench``, one by one.

    A plugin that cannot be imported, names an unknown hook or returns something that is no spec
    is skipped and reported. The environment variable ``KVBENCH_BLOCK_PLUGINS`` lists entry points
    to leave out, separated by commas.
    """
    blocked = {name.strip() for name in os.environ.get(BLOCK_VARIABLE, "").split(",")}
    found = entry_points(group=GROUP) if points is None else points
    loaded = [Plugin("builtin", "kvbench-core", version("kvbench-core"), _collect(builtin))]
    failed = []
    for point in sorted(found, key=lambda point: point.name):
        package = point.dist.name if point.dist else "?"
        release = point.dist.version if point.dist else "?"
        if point.name in blocked:
            failed.append(Failure(point.name, package, release, BLOCKED))
            continue
        try:
            loaded.append(Plugin(point.name, package, release, _collect(point.load())))
        except (Exception, SystemExit) as error:  # whatever a plugin does, the others go on
            refused = any(isinstance(arg, Attribute) for arg in error.args)  # by a spec's validator
            text = error.args[0] if refused else error
            reason = f"{type(error).__name__}: {text}".splitlines()[0]
            failed.append(Failure(point.name, package, release, reason, traceback.format_exc()))
    return Plugins(tuple(loaded), tuple(failed))


def _collect(module: ModuleType) -> tuple[Spec, ...]:
    """Everything that one module registers."""
    wanted = getattr(module, "KVBENCH_HOOK_API", hookspecs.HOOK_API)
    if wanted != hookspecs.HOOK_API:
        raise TypeError(f"written for hook API {wanted}; this core has {hookspecs.HOOK_API}")
    manager = pluggy.PluginManager("kvbench")
    manager.add_hookspecs(hookspecs)
    manager.register(module)
    manager.check_pending()
    specs: list[Spec] = []
    for hook, kind in HOOKS.items():
        for returned in getattr(manager.hook, hook)():
            for spec in returned:
                if not isinstance(spec, kind):
                    raise TypeError(f"{hook} returned {spec!r}, which is no {kind.__name__}")
                specs.append(spec)
    return tuple(specs)
