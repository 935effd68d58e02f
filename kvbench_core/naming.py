"""Method expressions: ``rtn(bits=4)+recent(blocks=2)`` as text and as a tree.

The grammar is a sum of calls; an argument is a number, a quoted string, ``True``, ``False``,
``None`` or another call. ``METHOD@reconstruct`` names an integration.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Union

from attrs import field, frozen

from kvbench_core.errors import ExpressionError

Value = Union[int, float, str, bool, None, "Term"]


@frozen
class Term:
    """One name with its arguments, such as ``rtn(bits=4)`` or ``recent(2)``."""

    name: str
    arguments: Mapping[str, Value] = field(factory=dict)
    positional: tuple[Value, ...] = ()

    def __str__(self) -> str:
        inside = [_text(value) for value in self.positional]
        inside += [f"{key}={_text(value)}" for key, value in self.arguments.items()]
        return f"{self.name}({', '.join(inside)})"


def _text(value: Value) -> str:
    return str(value) if isinstance(value, Term) else repr(value)


def parse(text: str) -> tuple[Term, ...]:
    """The terms of a sum.

    Raises:
        ExpressionError: the text is no such sum.
    """
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise ExpressionError(
            f"cannot read {text!r} as a method; write it like 'rtn(bits=4)+recent(blocks=2)'"
        ) from None
    return tuple(_terms(tree, text))


def _terms(node: ast.expr, text: str) -> list[Term]:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return [*_terms(node.left, text), *_terms(node.right, text)]
    return [_term(node, text)]


def _term(node: ast.expr, text: str) -> Term:
    if isinstance(node, ast.Name):
        return Term(node.id)
    if (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and all(keyword.arg for keyword in node.keywords)
    ):
        return Term(
            node.func.id,
            {str(keyword.arg): _value(keyword.value, text) for keyword in node.keywords},
            tuple(_value(argument, text) for argument in node.args),
        )
    raise ExpressionError(f"{ast.unparse(node)!r} in {text!r} is no part such as 'rtn(bits=4)'")


def _value(node: ast.expr, text: str) -> Value:
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float | str | bool | None):
        return node.value
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        number = _value(node.operand, text)
        if isinstance(number, int | float):
            return -number
    return _term(node, text)


def split_integration(text: str, default: str = "streaming") -> tuple[str, str]:
    """``"RTN_INT4@reconstruct"`` as method and integration."""
    method, at, integration = text.partition("@")
    return method.strip(), integration.strip() if at else default
