"""The hooks that a plugin may implement; each is called once, when plugins are loaded.

A plugin is a distribution with an entry point in group ``kvbench`` whose value is a module::

    [project.entry-points.kvbench]
    my-method = "my_method"

The module implements any of the hooks below with :data:`hookimpl`. Keep it light: it is imported
by ``kvbench list``, so it must not import torch. Implementations are named by ``target`` and
imported when they are used.
"""

from __future__ import annotations

from collections.abc import Iterable

import pluggy

from kvbench_core.specs import BackendSpec, CommandSpec, MetricSpec, PartSpec, PolicySpec, SuiteSpec

HOOK_API = 1
"""Grows with each incompatible change; a module may state ``KVBENCH_HOOK_API`` to be checked."""

hookspec = pluggy.HookspecMarker("kvbench")
hookimpl = pluggy.HookimplMarker("kvbench")


@hookspec
def kvbench_parts() -> Iterable[PartSpec]:  # type: ignore[empty-body]
    """Building blocks of methods: codecs, tierings, cadences, reuse rules. Since hook API 1."""


@hookspec
def kvbench_policies() -> Iterable[PolicySpec]:  # type: ignore[empty-body]
    """Named methods, as expressions over parts. Since hook API 1."""


@hookspec
def kvbench_backends() -> Iterable[BackendSpec]:  # type: ignore[empty-body]
    """Video generators. Since hook API 1."""


@hookspec
def kvbench_metrics() -> Iterable[MetricSpec]:  # type: ignore[empty-body]
    """Metrics over finished videos. Since hook API 1."""


@hookspec
def kvbench_suites() -> Iterable[SuiteSpec]:  # type: ignore[empty-body]
    """Prompt suites. Since hook API 1."""


@hookspec
def kvbench_commands() -> Iterable[CommandSpec]:  # type: ignore[empty-body]
    """Commands of ``kvbench``; the core's own are registered alike. Since hook API 1."""
