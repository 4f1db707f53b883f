"""Changes as Python that uses torch alone."""

from __future__ import annotations

import ast
import inspect
import keyword
import re
import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from nnwidgets.errors import InvalidTargetError
from nnwidgets.introspect.module_tree.expressions import ExpressionWriter

NET = "\x00net\x00"
"""The place of the model's name in a recipe."""

_OPTIMIZER = "\x00optimizer{}\x00"
_ANY_OPTIMIZER = re.compile("\x00optimizer(\\d+)\x00")


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to do a change again, kept as text, so that it holds neither model nor function.

    Attributes:
        lines: Statements, with places for the names of the model and its optimizers.
        imports: Import lines they need.
        uses_nn: Whether they need ``nn``.
    """

    lines: tuple[str, ...]
    imports: tuple[str, ...] = ("import torch",)

    def render(self, name: str, optimizer: str) -> str:
        """The statements with names put in."""
        text = "\n".join(self.lines).replace(NET, name)
        return _ANY_OPTIMIZER.sub(lambda at: optimizer if at[1] == "0" else f"{optimizer}_{int(at[1]) + 1}", text)


def script(recipes: Iterable[Recipe], name: str, optimizer: str) -> str:
    """Recipes one after the other, their imports first.

    Raises:
        InvalidTargetError: A name is not one that Python takes.
    """
    for each in (name, optimizer):
        if not _is_expression_name(each):
            raise InvalidTargetError(f"{each!r} is no name of a variable.", hint='Such as to_code(name="net").')
    recipes = list(recipes)
    if not recipes:
        return ""
    wanted = dict.fromkeys(line for recipe in recipes for line in recipe.imports)
    imports = sorted(wanted, key=lambda line: (line.startswith("from"), line))
    bodies = [recipe.render(name, optimizer) for recipe in recipes]
    return "\n".join([*imports, "", "\n\n".join(bodies), ""])


def expressions(module: Any) -> ExpressionWriter:
    """Writes the Python of things at paths, the model's name left open."""
    return ExpressionWriter(module, NET)


def optimizer_name(number: int) -> str:
    """The place of an optimizer's name."""
    return _OPTIMIZER.format(number)


def arguments(kwargs: Mapping[str, Any]) -> str:
    """Keyword arguments as text, each with a comma before it."""
    return "".join(f", {name}={literal(value)}" for name, value in kwargs.items())


def literal(value: Any) -> str:
    """A plain value as Python has it."""
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):  # noqa: PLR0124 - NaN
        return f'float("{value}")'
    return repr(value)


def _is_expression_name(name: object) -> bool:
    return type(name) is str and all(part.isidentifier() and not keyword.iskeyword(part) for part in name.split("."))


def source_of(function: Any) -> str | None:
    """The ``def`` of a function without its decorators; None where it can't be had, or the function has a closure.

    Example:
        >>> source_of(len) is None
        True
    """
    if not inspect.isfunction(function) or function.__name__ == "<lambda>" or function.__closure__:
        return None
    try:
        text = textwrap.dedent(inspect.getsource(function))
        made = ast.parse(text).body[0]
    except (OSError, TypeError, SyntaxError, ValueError, IndexError):
        return None
    if not isinstance(made, ast.FunctionDef):
        return None
    return "\n".join(text.splitlines()[made.lineno - 1 :]).rstrip()
