"""Rows of a tree as aligned lines of text."""

from __future__ import annotations

from collections.abc import Sequence

from nnwidgets.formatting import exact_count, inert
from nnwidgets.introspect.columns import aligned
from nnwidgets.introspect.module_tree.text import Line

MOST_CELLS = 120

_MOST_LEVELS = 20
_MOST_NAME = 60
_MOST_CLASS = 40
_MOST_MARKS = 80


def laid_out(lines: Sequence[Line], *, n_more: int = 0, most_cells: int = MOST_CELLS) -> list[str]:
    """Lines of text: name · class · shape · parameters · dtype · marks, each column aligned.

    Deeper than 20 levels the indent gives way to the level's number.

    Example:
        >>> line = Line(0, "module", "net", "", "Linear", "20 → 256", 5376, "", ())
        >>> laid_out([line])
        ['net  Linear  20 → 256  5\u202f376']
    """
    rows = [
        (
            _indent(line.level) + inert(line.name, _MOST_NAME),
            inert(line.class_name, _MOST_CLASS) if line.class_name != line.name else "",
            inert(line.shape, _MOST_CLASS),
            "" if line.n_params is None else exact_count(line.n_params),
            inert(line.dtype, _MOST_CLASS),
            inert(" · ".join(line.marks), _MOST_MARKS),
        )
        for line in lines
    ]
    found = aligned(rows, right=(3,), most=most_cells)
    if n_more:
        found.append(f"… {exact_count(n_more)} more modules and tensors; name a path, or a smaller depth, to see them")
    return found


def _indent(level: int) -> str:
    return "  " * level if level <= _MOST_LEVELS else "  " * _MOST_LEVELS + f"[level {level}] "
