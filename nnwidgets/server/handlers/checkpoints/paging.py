"""The part of a long list that a page shows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

Item = TypeVar("Item")

_MOST_ROWS = 500


def window(items: Sequence[Item], body: Mapping[str, Any]) -> tuple[int, Sequence[Item]]:
    """Return where the window that a body asks for begins, and what is in it.

    Example:
        >>> window("abcdef", {"start": 4, "count": 9})
        (4, 'ef')
        >>> window("abc", {"start": -1, "count": 2})
        (0, 'ab')
    """
    start = min(max(body["start"], 0), len(items))
    return start, items[start : start + min(max(body["count"], 0), _MOST_ROWS)]


def holds(text: str, names: Iterable[str | None]) -> bool:
    """Return whether one of the names holds every word of a text, whatever their case.

    Example:
        >>> holds("ATTN bias", ["h.0.attn.bias"]), holds("attn", [None, "h.0.mlp"])
        (True, False)
    """
    words = text.casefold().split()
    return not words or any(name is not None and all(word in name.casefold() for word in words) for name in names)
