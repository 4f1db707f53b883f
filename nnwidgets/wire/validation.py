"""Whether a JSON value fits a type of the schema, from its type hints: the dispatcher asks of each request."""

from __future__ import annotations

import json
import types
from functools import cache
from typing import Any, Literal, NotRequired, Union, get_args, get_origin, get_type_hints, is_typeddict

from nnwidgets.errors import closest_names
from nnwidgets.formatting import counted, cut
from nnwidgets.wire.errors import RequestError

_NAMES: dict[Any, str] = {
    str: "a string",
    int: "an integer",
    float: "a number",
    bool: "true or false",
    type(None): "null",
}
_MAX_SHOWN = 60


def validate(value: Any, expected: Any, where: str = "the message") -> None:
    """Check that ``value`` is what the schema type ``expected`` says.

    Args:
        value: A JSON value.
        expected: A TypedDict of `nnwidgets.wire.schema`, or any type hint used in one.
        where: How to call ``value`` in the error.

    Raises:
        RequestError: ``malformed``; the message names the key, what was found there and what was expected.

    Example:
        >>> from nnwidgets.wire.schema import PathBody
        >>> validate({"path": 3}, PathBody, "body")
        Traceback (most recent call last):
        nnwidgets.wire.errors.RequestError: body.path is 3, expected a string.
    """
    if expected is Any:
        return
    if is_typeddict(expected):
        _validate_object(value, expected, where)
        return
    origin = get_origin(expected)
    if origin is list:
        if not isinstance(value, list):
            raise _mismatch(value, "a list", where)
        (item_type,) = get_args(expected)
        for index, item in enumerate(value):
            validate(item, item_type, f"{where}[{index}]")
    elif origin is dict:
        if not isinstance(value, dict):
            raise _mismatch(value, "an object", where)
        for key, item in value.items():
            validate(item, get_args(expected)[1], f"{where}[{_show(key)}]")
    elif not _is_one_of(value, expected):
        raise _mismatch(value, _describe(expected), where)


def _validate_object(value: Any, expected: type, where: str) -> None:
    if not isinstance(value, dict):
        raise _mismatch(value, "an object", where)
    required, optional = _keys(expected)
    for key in value:
        if key not in required and key not in optional:
            close = closest_names(str(key), [*required, *optional], n=1)
            known = ", ".join([*required, *optional])
            raise RequestError(
                "malformed",
                f"{where} has the key {_show(key)}, expected {f'only {known}' if known else 'none'}.",
                hint=f"Did you mean {close[0]!r}?" if close else "",
            )
    for key, item_type in required.items():
        if key not in value:
            raise RequestError("malformed", f"{where} lacks the key {key!r}, expected {_describe(item_type)}.")
    for key, item in value.items():
        validate(item, required[key] if key in required else optional[key], f"{where}.{key}")


@cache
def _keys(typed_dict: type) -> tuple[dict[str, Any], dict[str, Any]]:
    required, optional = {}, {}
    for key, hint in get_type_hints(typed_dict, include_extras=True).items():
        if get_origin(hint) is NotRequired:
            optional[key] = get_args(hint)[0]
        else:
            required[key] = hint
    return required, optional


def _is_one_of(value: Any, expected: Any) -> bool:
    origin = get_origin(expected)
    if origin is Literal:
        return isinstance(value, str) and value in get_args(expected)
    if origin in (Union, types.UnionType):
        return any(_fits(value, option) for option in get_args(expected))
    if expected is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if expected is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, expected)


def _fits(value: Any, expected: Any) -> bool:
    try:
        validate(value, expected)
    except RequestError:
        return False
    return True


def _describe(expected: Any) -> str:
    origin = get_origin(expected)
    if origin is Literal:
        return "one of " + ", ".join(json.dumps(option) for option in get_args(expected))
    if origin in (Union, types.UnionType):
        return " or ".join(_describe(option) for option in get_args(expected))
    if origin is list:
        return "a list"
    if origin is dict or is_typeddict(expected):
        return "an object"
    return _NAMES.get(expected, "a value")


def _mismatch(value: Any, expected: str, where: str) -> RequestError:
    return RequestError("malformed", f"{where} is {_show(value)}, expected {expected}.")


def _show(value: Any) -> str:
    """Return ``value`` as JSON, cut; only what JSON knows is looked into."""
    if value is None or isinstance(value, bool | int | float | str):
        head = value[: _MAX_SHOWN + 1] if isinstance(value, str) else value
        return cut(json.dumps(head), _MAX_SHOWN)
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if isinstance(value, dict):
        return f"an object with {counted(len(value), 'key')}" if value else "an empty object"
    return f"a {type(value).__name__}"
