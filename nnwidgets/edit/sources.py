"""The source of a user's function, as text that can be pasted."""

from __future__ import annotations

import ast
import inspect
import textwrap
from typing import Any


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
