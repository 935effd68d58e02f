"""What a plugin registers: names, one line each, and where the implementation is.

Nothing here imports an implementation, so listing what exists costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, Literal

from attrs import field, frozen
from attrs.validators import in_, matches_re

from kvbench_core.errors import PluginError

TARGET = r"[A-Za-z_][\w.]*:[A-Za-z_]\w*"
PartKind = Literal["codec", "tiering", "retention", "cadence", "reuse"]


@frozen(kw_only=True)
class Spec:
    """Common to everything that a plugin registers.

    ``summary`` is one line for listings.
    """

    name: str = field(validator=matches_re(r"[A-Za-z][\w.-]*"))
    summary: str = field(validator=matches_re(r"[^\n]+"))

    @property
    def groups(self) -> tuple[str, ...]:
        """Names that stand for this one and others together."""
        return ("all",)


@frozen(kw_only=True)
class Loadable(Spec):
    """A spec whose implementation is ``target``, ``"module:attribute"``, imported when needed."""

    target: str = field(validator=matches_re(TARGET))

    def load(self) -> Callable[..., Any]:
        """Import the implementation.

        Raises:
            PluginError: it cannot be imported; the cause is kept.
        """
        module, _, attribute = self.target.partition(":")
        try:
            implementation: Callable[..., Any] = getattr(import_module(module), attribute)
        except (Exception, SystemExit) as error:  # whatever a plugin does on import
            raise PluginError(
                f"{self.name} cannot be loaded from {self.target}: {type(error).__name__}: {error}"
            ) from error
        return implementation


@frozen(kw_only=True)
class PartSpec(Loadable):
    """A building block of methods: ``name(parameter=value, ...)`` in an expression.

    The target is called with the parameters, which it validates; a class's fields or a function's
    arguments are the parameters.
    """

    kind: PartKind = field(validator=in_(("codec", "tiering", "retention", "cadence", "reuse")))


@frozen(kw_only=True)
class PolicySpec(Spec):
    """A named method: an ``expression`` over parts, such as ``"rtn(bits=4)+recent(blocks=2)"``.

    A method that is no composition registers a part whose target returns a ``Policy`` and names
    that alone. ``tags`` select groups of methods (``"study"``: one of the published 33).
    """

    family: str
    expression: str
    tags: tuple[str, ...] = ()

    @property
    def groups(self) -> tuple[str, ...]:
        """``all``, the family and the tags."""
        return "all", self.family, *self.tags


@frozen(kw_only=True)
class MemberSpec(Loadable):
    """A loadable spec that belongs to a ``family``."""

    family: str

    @property
    def groups(self) -> tuple[str, ...]:
        """``all`` and the family."""
        return "all", self.family


@frozen(kw_only=True)
class BackendSpec(MemberSpec):
    """A video generator. The target is a function without arguments that returns a ``Backend``."""


@frozen(kw_only=True)
class MetricSpec(MemberSpec):
    """A metric. The target is a function without arguments that returns a ``Metric``."""


@frozen(kw_only=True)
class SuiteSpec(MemberSpec):
    """Prompts. The target is a function without arguments that returns a ``Suite``."""


@frozen(kw_only=True)
class CommandSpec(Loadable):
    """``kvbench NAME``. The target is a click command or group, imported when it is used.

    ``summary`` is its line in ``kvbench --help``, which imports no target.
    """
