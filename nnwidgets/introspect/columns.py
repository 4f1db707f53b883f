"""Aligning text in a terminal, where a character may take no cell, one, or two."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

_WIDE = frozenset("WF")
_NO_CELL = frozenset(("Mn", "Me", "Cf"))


def width(text: str) -> int:
    """How many cells of a terminal ``text`` takes.

    Example:
        >>> width("conv"), width("卷积")
        (4, 4)
    """
    if text.isascii():
        return len(text)
    return sum(map(_cells, text))


def fit(text: str, most: int) -> str:
    """``text`` in at most ``most`` cells, what is cut off marked by ``…``.

    Example:
        >>> fit("encoder", 4), fit("卷积层", 4)
        ('enc…', '卷…')
    """
    if width(text) <= most:
        return text
    kept: list[str] = []
    left = most - 1
    for character in text:
        left -= _cells(character)
        if left < 0:
            break
        kept.append(character)
    return "".join(kept) + "…"


def pad(text: str, cells: int, *, right: bool = False) -> str:
    """``text`` filled up to ``cells``, at its end, or at its start where it stands to the right.

    Example:
        >>> pad("7", 3, right=True)
        '  7'
    """
    missing = " " * max(0, cells - width(text))
    return missing + text if right else text + missing


def aligned(rows: Sequence[Sequence[str]], *, right: Sequence[int] = (), gap: str = "  ", most: int = 120) -> list[str]:
    """Rows of cells as lines, each column as wide as its widest cell, each line at most ``most`` wide.

    The first column gives way where a line would be wider.

    Args:
        rows: The cells; every row has as many.
        right: Columns that stand to the right.
        gap: What stands between two columns.
        most: The widest a line may be.

    Example:
        >>> aligned([("0", "Linear", "5376"), ("1", "ReLU", "")], right=[2])
        ['0  Linear  5376', '1  ReLU']
    """
    if not rows:
        return []
    widths = [max(width(row[column]) for row in rows) for column in range(len(rows[0]))]
    rest = sum(widths[1:]) + len(gap) * (len(widths) - 1)
    widths[0] = max(min(widths[0], most - rest), min(widths[0], most // 3))
    return [
        fit(
            gap.join(
                pad(fit(cell, widths[column]), widths[column], right=column in right) for column, cell in enumerate(row)
            ).rstrip(),
            most,
        )
        for row in rows
    ]


def _cells(character: str) -> int:
    if character.isascii():
        return 1
    if unicodedata.category(character) in _NO_CELL:
        return 0
    return 2 if unicodedata.east_asian_width(character) in _WIDE else 1
