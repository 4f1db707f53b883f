"""JSON whose objects have each key once: of two, one reader takes the first, another the last."""

from __future__ import annotations

import json
from typing import Any

from nnwidgets.checkpoint.formats.malformed import Malformed


def decoded(text: str, *, may_have_nan: bool = False) -> Any:
    """What JSON stands for.

    Args:
        text: It.
        may_have_nan: Whether Python's spellings of NaN and infinities, which are no JSON, are taken as such.

    Raises:
        Malformed: A key stands twice in an object, or a number is NaN or infinite.
        ValueError: It is no JSON.
        RecursionError: It is nested too deeply.

    Example:
        >>> decoded('{"x": {"y": [1]}}')
        {'x': {'y': [1]}}
        >>> try:
        ...     decoded('{"x": 1, "x": 2}')
        ... except Malformed as error:
        ...     print(f"It {error}.")
        It has the key 'x' twice.
    """
    quick, exact = _LENIENT if may_have_nan else _STRICT
    found = quick.decode(text)
    # Each entry that is written has a colon: with no more of these than entries, none took another's place. To look at
    # every object takes twice as long, and is left to texts that have colons elsewhere.
    if text.count(":") > _n_entries(found):
        del found
        found = exact.decode(text)
    return found


def _n_entries(found: Any) -> int:
    """Of an object and those right in it."""
    if type(found) is not dict:
        return 0
    return len(found) + sum(len(each) for each in found.values() if type(each) is dict)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise Malformed(f"has the key {twice[:80]!r} twice")
    return made


def _no_constant(text: str) -> None:
    raise Malformed(f"has {text} in its header")


_LENIENT = tuple(json.JSONDecoder(object_pairs_hook=hook) for hook in (None, _once))
_STRICT = tuple(json.JSONDecoder(parse_constant=_no_constant, object_pairs_hook=hook) for hook in (None, _once))
