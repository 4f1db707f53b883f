"""Rows of a table that differ in the numbers of their names alone, such as those of twelve like blocks, as one row."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from nnwidgets.formatting import exact_count

FEW = 12
"""A table of no more rows than this is shown row by row."""

_NUMBER = re.compile(r"(?<![^.\[])[0-9]+(?![^.\] ])")
_PLACE = "\0"


class AlikeRows(NamedTuple):
    """The cells of one row, and for how many it stands."""

    cells: tuple[str, ...]
    n: int


def fold_rows(rows: Sequence[tuple[str, ...]], *names: int) -> list[AlikeRows]:
    """Put rows together whose cells are alike but for the numbers in their names, where there are more than a few.

    Args:
        rows: The cells of each.
        names: The columns that hold names; where several do, their numbers go together.

    Example:
        >>> rows = [(f"h.{block}.{name}", "frozen") for block in range(12) for name in ("weight", "bias")]
        >>> fold_rows(rows, 0)
        [AlikeRows(cells=('h.{0…11}.weight', 'frozen'), n=12), AlikeRows(cells=('h.{0…11}.bias', 'frozen'), n=12)]
    """
    return [AlikeRows(cells, len(members)) for cells, members in fold_members(rows, *names)]


def times(word: str, n: int) -> str:
    """A word, and for how many rows it stands where these are several.

    Example:
        >>> times("≈ close", 1), times("~ changed", 12)
        ('≈ close', '~ changed × 12')
    """
    return f"{word} × {exact_count(n)}" if n > 1 else word


def fold_members(rows: Sequence[tuple[str, ...]], *names: int) -> list[tuple[tuple[str, ...], list[int]]]:
    """As `fold_rows`, with the places of the rows that each row stands for."""
    if len(rows) <= FEW:
        return [(row, [at]) for at, row in enumerate(rows)]
    groups: dict[tuple[str, ...], list[tuple[tuple[str, ...], int]]] = {}
    for place, row in enumerate(rows):
        named = [row[at] for at in names if row[at]]
        numbers = tuple(_NUMBER.findall(named[0])) if named else ()
        is_one = all(tuple(_NUMBER.findall(each)) == numbers and _PLACE not in each for each in named)
        alike = tuple(_NUMBER.sub(_PLACE, cell) if at in names and is_one else cell for at, cell in enumerate(row))
        groups.setdefault(alike, []).append((numbers if is_one else (), place))
    return [
        (tuple(_written(cell, labels) if at in names else cell for at, cell in enumerate(alike)), members)
        for alike, those in groups.items()
        for labels, members in _products(those)
    ]


def _written(template: str, labels: Sequence[str]) -> str:
    if not labels:
        return template
    pieces = template.split(_PLACE)
    return "".join(each for pair in zip(pieces, (*labels, ""), strict=False) for each in pair)


def _products(numbered: Sequence[tuple[tuple[str, ...], int]]) -> list[tuple[tuple[str, ...], list[int]]]:
    """Tuples of numbers as few tuples of sets of them, and the rows that each stands for."""
    found = [(each, [row]) for each, row in numbered]
    for place in reversed(range(len(numbered[0][0]))):
        merged: dict[tuple[tuple[str, ...], int], list[tuple[str, list[int]]]] = {}
        for each, rows in found:
            merged.setdefault(((*each[:place], *each[place + 1 :]), len(rows)), []).append((each[place], rows))
        found = [
            (
                (*rest[:place], _label([number for number, _ in those]), *rest[place:]),
                [row for _, rows in those for row in rows],
            )
            for (rest, _), those in merged.items()
        ]
    return found


def _label(numbers: Sequence[str]) -> str:
    """Numbers as a target takes them: ``{0…11}``, ``{0,2}``."""
    if len(numbers) == 1:
        return numbers[0]
    first, n = int(numbers[0]), len(numbers)
    if n > 2 and [*numbers] == [str(first + step) for step in range(n)]:  # noqa: PLR2004 - two are listed
        return f"{{{numbers[0]}…{numbers[-1]}}}"
    return f"{{{','.join(numbers)}}}"
