"""The methods that a script is about."""

from __future__ import annotations

from collections.abc import Iterable

import click

from kvbench_core.cli.options import split_names
from kvbench_core.errors import KvbenchError
from kvbench_core.families import Families
from kvbench_core.integration import integrate
from kvbench_core.naming import split_integration
from kvbench_core.policy import Policy
from kvbench_core.registry import Registry

methods_option = click.option(
    "--methods",
    default="study",
    show_default=True,
    help="Names, expressions, families or tags, separated by commas; NAME@reconstruct attaches "
    "one in the study's way.",
)


def policy_of(registry: Registry, text: str) -> Policy:
    """The policy of a method that may name an integration."""
    method, integration = split_integration(text)
    return integrate(registry.policy(method), integration)


def selected(registry: Registry, methods: str) -> dict[str, Policy]:
    """The policies by name; one whose parts are not installed is left out, which is said."""
    return usable(registry, registry.select(split_names([methods])))


def usable(registry: Registry, names: Iterable[str]) -> dict[str, Policy]:
    """Those of the named policies that can be made here."""
    policies = {}
    for name in names:
        try:
            policies[name] = policy_of(registry, name)
        except KvbenchError as error:
            click.echo(f"left out: {error}", err=True)
    return policies


def family_of(registry: Registry, name: str) -> str:
    """The family of a method, whatever its parameters and what is added; empty if it has none."""
    method, _ = split_integration(name)
    expression = "+".join(map(str, registry.expand(method)))
    return Families.of(registry).family(method, expression)
