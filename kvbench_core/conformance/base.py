"""What all conformance classes have in common: their clauses cannot be replaced."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, ClassVar

import pytest

SHIPPED = "kvbench_core.conformance."


class Conformance:
    """Clauses of the contract, as tests.

    A subclass in another package has an empty body, or overrides the fixtures in
    :attr:`overridable`. ``class TestMine(PolicyConformance, package="my-package")`` covers what
    that distribution registers. A clause that does not hold is named, with the reason, in
    :attr:`known_failures`; it then has to fail.
    """

    overridable: ClassVar[frozenset[str]] = frozenset()
    known_failures: ClassVar[Mapping[str, str]] = {}
    package: ClassVar[str | None] = None

    def __init_subclass__(cls, package: str | None = None, **kwargs: Any) -> None:
        """Refuse a subclass that replaces a clause.

        Raises:
            TypeError: naming what was replaced, or the clause that was excused without a reason.
        """
        super().__init_subclass__(**kwargs)
        if cls.__module__.startswith(SHIPPED):
            return
        if package is not None:
            cls.package = package
        _refuse_replacements(cls)
        for name, reason in vars(cls).get("known_failures", {}).items():
            _expect_failure(cls, name, reason)


def _refuse_replacements(cls: type[Conformance]) -> None:
    bases = [base for base in cls.__mro__ if base.__module__.startswith(SHIPPED)]
    shipped = {name for base in bases for name in vars(base) if not name.startswith("__")}
    allowed = {"known_failures", "package"}.union(
        *(vars(base).get("overridable", ()) for base in bases)
    )
    for name in vars(cls):
        if name in shipped and name not in allowed:
            raise TypeError(
                f"{cls.__name__}.{name} replaces a part of the contract; a clause that does not "
                "hold is listed in known_failures, with the reason"
            )


def _expect_failure(cls: type[Conformance], name: str, reason: str) -> None:
    clause: Callable[..., None] | None = getattr(cls, name, None)
    if clause is None or not name.startswith("test_"):
        raise TypeError(f"{cls.__name__}.known_failures names {name}, which is no clause")
    if not reason.strip():
        raise TypeError(f"{cls.__name__}.known_failures excuses {name} without a reason")

    @wraps(clause)
    def expected_to_fail(self: Conformance, **fixtures: Any) -> None:
        clause(self, **fixtures)

    setattr(cls, name, pytest.mark.xfail(reason=reason, strict=True)(expected_to_fail))
