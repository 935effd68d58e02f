"""What can go wrong by a user's doing. Each message is one sentence: thing, value, remedy."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class KvbenchError(Exception):
    """A user's mistake or a broken input; shown as one line, without a traceback."""


class ParameterError(KvbenchError, ValueError):
    """A parameter is outside what its owner accepts."""

    def __init__(self, owner: str, parameter: str, rule: str, value: object) -> None:
        super().__init__(f"{owner}: {parameter} must be {rule}; got {value!r}")
        self.owner, self.parameter, self.rule, self.value = owner, parameter, rule, value


class ExpressionError(KvbenchError):
    """A method expression such as ``rtn(bits=4)+recent(blocks=2)`` cannot be read."""


class UnknownNameError(KvbenchError):
    """No plugin provides a name; the message offers the nearest, or the command that lists all."""

    def __init__(
        self, kind: str, name: str, known: Iterable[str], listing: str = "kvbench list"
    ) -> None:
        names = sorted(known)
        folded = {known_name.lower(): known_name for known_name in names}
        near = [folded[match] for match in get_close_matches(name.lower(), folded, n=3)]
        hint = f"did you mean {' or '.join(near)}?" if near else f"see `{listing}`"
        super().__init__(f"no {kind} is called {name!r}; {hint}")
        self.kind, self.name, self.near = kind, name, near


class PluginError(KvbenchError):
    """A plugin, or two of them together, cannot be used."""


class CacheError(KvbenchError):
    """A cache was handed keys, values or a step that it cannot take."""


class BackendError(KvbenchError):
    """A generator cannot be loaded or cannot generate what was asked."""


class MetricUnavailableError(KvbenchError):
    """A metric cannot run here: weights or a package are missing. The message says how to get them.

    Only the metric's columns are missing then; everything else is computed.
    """


class StoreError(KvbenchError):
    """A run directory is missing, damaged, locked or of another format version."""


def printable(text: str) -> str:
    """``text`` without what could confuse a terminal."""
    return "".join(char if char.isprintable() else "?" for char in text)


def storable(text: str) -> str:
    """``text`` with a question mark for each half of a surrogate pair, as undecodable paths have.

    Such a half cannot be written to a file.
    """
    return text.encode(errors="replace").decode()
