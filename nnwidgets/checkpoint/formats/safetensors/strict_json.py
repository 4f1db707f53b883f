"""JSON of headers and indexes: each key once, for of two one reader takes the first, another the last."""

from __future__ import annotations

import json
from typing import Any

from nnwidgets.checkpoint.formats.malformed import Malformed

MOST_BYTES = 64_000_000
"""Of a header or an index: the index of 700,000 tensors with names as long as those of experts in their layers.

Parsed, JSON that is made to take memory takes some twenty-five times its length.
"""


def decode(text: str, *, may_have_nan: bool = False) -> Any:
    """What JSON stands for.

    Args:
        text: It.
        may_have_nan: Whether Python's spellings of NaN and infinities, which are no JSON, are taken as such.

    Raises:
        Malformed: A key stands twice in an object, or a number is NaN or infinite.
        ValueError: It is no JSON.
        RecursionError: It is nested too deeply.

    Example:
        >>> decode('{"x": {"y": [1]}}')
        {'x': {'y': [1]}}
        >>> try:
        ...     decode('{"x": 1, "x": 2}')
        ... except Malformed as error:
        ...     print(f"It {error}.")
        It has the key 'x' twice.
    """
    return (_LENIENT if may_have_nan else _STRICT).decode(text)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise Malformed(f"has the key {twice[:80]!r} twice")
    return made


def _refuse_constant(text: str) -> None:
    raise Malformed(f"has {text} in its header")


_LENIENT = json.JSONDecoder(object_pairs_hook=_unique)
_STRICT = json.JSONDecoder(parse_constant=_refuse_constant, object_pairs_hook=_unique)
