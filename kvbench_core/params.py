"""attrs validators whose messages name the owner, the parameter, the rule and the value."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from attrs import Attribute

from kvbench_core.errors import ParameterError

Validator = Callable[[Any, "Attribute[Any]", Any], None]


def _owner(instance: object) -> str:
    return str(getattr(instance, "name", type(instance).__name__))


def _check(accepts: Callable[[Any], bool], rule: str) -> Validator:
    def validate(instance: object, attribute: Attribute[Any], value: Any) -> None:
        if not accepts(value):
            raise ParameterError(_owner(instance), attribute.name, rule, value)

    return validate


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def one_of(*choices: object) -> Validator:
    """Exactly one of ``choices``, of its type too: 4.0 and ``True`` are not 4 and 1."""
    rule = "one of " + ", ".join(str(choice) for choice in choices)
    return _check(
        lambda value: any(type(value) is type(choice) and value == choice for choice in choices),
        rule,
    )


def whole(minimum: int) -> Validator:
    """A whole number of at least ``minimum``."""
    return _check(
        lambda value: _is_int(value) and value >= minimum, f"a whole number of at least {minimum}"
    )


def share() -> Validator:
    """A fraction in (0, 1]."""
    return _check(lambda value: _is_number(value) and 0 < value <= 1, "a fraction in (0, 1]")


def at_least(minimum: float) -> Validator:
    """A finite number of at least ``minimum``."""
    return _check(
        lambda value: _is_number(value) and minimum <= value < math.inf,
        f"a number of at least {minimum}",
    )


def part_of(kind: type, description: str) -> Validator:
    """A nested part, such as the codec in ``quarot(inner=rtn(bits=4))``."""
    return _check(lambda value: isinstance(value, kind), description)


def optional(validator: Validator) -> Validator:
    """``None`` or what ``validator`` accepts."""

    def validate(instance: object, attribute: Attribute[Any], value: Any) -> None:
        if value is not None:
            validator(instance, attribute, value)

    return validate
