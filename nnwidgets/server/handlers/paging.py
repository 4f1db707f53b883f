"""The window of a long list that a page shows, and the search in it: for rows, and for all that comes of files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

Item = TypeVar("Item")

_MOST_ROWS = 500


def window(items: Sequence[Item], start: int, count: int) -> tuple[int, Sequence[Item]]:
    """Return where the window that a request asks for begins, and what is in it.

    Example:
        >>> window("abcdef", 4, 9)
        (4, 'ef')
        >>> window("abc", -1, 2)
        (0, 'ab')
    """
    start = min(max(start, 0), len(items))
    return start, items[start : start + min(max(count, 0), _MOST_ROWS)]


def holds(text: str, names: Iterable[str | None]) -> bool:
    """Return whether one of the names holds every word of a text, whatever their case.

    Example:
        >>> holds("ATTN bias", ["h.0.attn.bias"]), holds("attn", [None, "h.0.mlp"])
        (True, False)
    """
    words = text.casefold().split()
    return not words or any(name is not None and all(word in name.casefold() for word in words) for name in names)
