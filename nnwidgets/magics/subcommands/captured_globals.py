"""What a user's function takes from the user's variables, as lines of Python that stand for it.

So that code handed out runs as pasted where those variables aren't: constants become assignments, modules and what is
in them imports, the user's own functions their ``def``.
"""

from __future__ import annotations

import builtins
import dis
import importlib
import sys
import types
from collections.abc import Iterator, Mapping
from typing import Any

from nnwidgets.edit.code import literal, source_of

_MOST_TEXT = 2_000
_GIVEN = {"torch": "torch", "nn": "torch.nn"}
"""What handed-out code imports anyway."""


def captured_lines(function: types.FunctionType, namespace: Mapping[str, Any]) -> list[str]:
    """Lines that give a function the global names it uses; what has no such line becomes a comment that says so.

    Example:
        >>> import math
        >>> captured_lines(lambda m: math.sqrt(width) + len(m), {"math": math, "width": 3})
        ['import math', 'width = 3']
    """
    return list(_lines(function.__code__, namespace, set()))


def _lines(code: types.CodeType, namespace: Mapping[str, Any], seen: set[str]) -> Iterator[str]:
    stored = set(_globals_of(code, "STORE_GLOBAL"))
    for name in _globals_of(code, "LOAD_GLOBAL"):
        if name in seen:
            continue
        seen.add(name)
        if name in stored:
            yield f"# {name} is a variable that this changes; give it its first value."
            continue
        if name not in namespace:
            if not hasattr(builtins, name):
                yield f"# {name} was a variable when this ran."
            continue
        value = namespace[name]
        if isinstance(value, types.FunctionType) and value.__module__ in {"__main__", None}:
            source = source_of(value)
            yield from _lines(value.__code__, namespace, seen)
            yield from source.splitlines() if source else [f"# {name} was a function when this ran."]
        else:
            yield from _line(name, value)


def _line(name: str, value: Any) -> Iterator[str]:
    if isinstance(value, types.ModuleType):
        known = value.__name__
        if _GIVEN.get(name) != known:
            yield f"import {known}" if known == name else f"import {known} as {name}"
        return
    if _is_plain(value):
        text = literal(value)
        if len(text) <= _MOST_TEXT:
            yield f"{name} = {text}"
            return
    home, own = _home(value)
    if home:
        yield f"from {home} import {own}" + (f" as {name}" if own != name else "")
    else:
        yield f"# {name} was a {type(value).__name__} of yours when this ran."


def _globals_of(code: types.CodeType, operation: str) -> Iterator[str]:
    for instruction in dis.get_instructions(code):
        if instruction.opname == operation:
            yield str(instruction.argval)
    for inner in code.co_consts:
        if isinstance(inner, types.CodeType):
            yield from _globals_of(inner, operation)


def _is_plain(value: Any) -> bool:
    if type(value) in {tuple, list}:
        return all(map(_is_plain, value))
    return value is None or type(value) in {bool, int, float, complex, str, bytes}


def _home(value: Any) -> tuple[str, str]:
    """Where a function or class can be imported from."""
    if not isinstance(value, type | types.FunctionType | types.BuiltinFunctionType):
        return "", ""
    home, own = getattr(value, "__module__", None), getattr(value, "__qualname__", "")
    if not isinstance(home, str) or home == "__main__" or home not in sys.modules or not own.isidentifier():
        return "", ""
    return (home, own) if getattr(importlib.import_module(home), own, None) is value else ("", "")
