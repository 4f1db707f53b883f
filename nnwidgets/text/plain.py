"""Documents as plain text for a terminal: aligned, cut to a sane width, with nothing in it that moves the cursor."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence

from nnwidgets.formatting import align_columns, counted, exact_count, fit, inert, pad, width
from nnwidgets.introspect.module_tree.text import MOST_CELLS, lay_out
from nnwidgets.sentences import head, told, told_where_it_speaks
from nnwidgets.text.document import (
    Bars,
    Block,
    Code,
    Curves,
    Document,
    Facts,
    Flow,
    Note,
    Outline,
    Preformatted,
    Table,
    Title,
)
from nnwidgets.text.pages.model import inert_code

_MOST_WORDS = 2_000
_MOST_CODE_LINES = 200
_PAIRS_PER_LINE = 3
_LEVELS = " ▁▂▃▄▅▆▇█"
_N_BARS = 64
_CHINESE = "\u2e80-\u9fff\uff00-\uffef"
_WORD = re.compile(rf" *(?:[{_CHINESE}]|[^ {_CHINESE}]+)[，。；：、）”]*")
_LEAST_ROOM = 30
"""Cells that a column must have for sentences in it to be wrapped."""


def render_text(document: Document) -> str:
    """A document as text.

    Example:
        >>> from nnwidgets.text.document import Title
        >>> print(render_text((Title("0.weight", "Parameter"),)))
        0.weight · Parameter
    """
    return "\n".join(line for block in document for line in _lines(block))


def _lines(block: Block) -> list[str]:  # noqa: C901, PLR0911 - one way out per kind of block
    match block:
        case Title():
            return [_fit_inert(" · ".join(filter(None, (block.text, block.detail))))]
        case Facts():
            return _facts(block)
        case Table():
            return _table(block)
        case Outline():
            return lay_out(block.lines, n_more=block.n_more)
        case Note():
            return _note(block)
        case Code():
            if block.is_whole:
                return inert_code(block.source).split("\n")
            return [f"    {line}" for line in _code_lines(block.source)]
        case Bars():
            return _bars(block)
        case Curves():
            return _curves(block)
        case Flow():
            return []
        case Preformatted():
            return [_fit_inert(line) for line in block.text.split("\n")]


def _fit_inert(text: str, most: int = MOST_CELLS) -> str:
    return fit(inert(text, most + 1), most)


def _facts(block: Facts) -> list[str]:
    cells = [(_fit_inert(head(name), 20), _fit_inert(told_where_it_speaks(value), 90)) for name, value in block.pairs]
    for n_columns in range(_PAIRS_PER_LINE, 0, -1):
        columns = [cells[start::n_columns] for start in range(n_columns)]
        spans = [[max(map(width, words), default=0) for words in zip(*column, strict=True)] for column in columns]
        found = []
        for start in range(0, len(cells), n_columns):
            pairs = zip(cells[start : start + n_columns], spans, strict=False)
            words = (f"{pad(name, span[0])}  {pad(value, span[1])}" for (name, value), span in pairs)
            found.append(("  " + "    ".join(words)).rstrip())
        if all(width(line) <= MOST_CELLS for line in found):
            break
    return found


def _table(block: Table) -> list[str]:
    rows = [
        tuple(map(head, block.heads)),
        *((*(inert(cell, MOST_CELLS) for cell in row[:-1]), inert(row[-1], 400)) for row in _told(block.rows)),
    ]
    found = align_columns(_last_wrapped(rows), right=block.right, most=MOST_CELLS)
    if block.n_more:
        found.append(f"… {exact_count(block.n_more)} more")
    return found


def _told(rows: Iterable[tuple[str, ...]]) -> Iterator[tuple[str, ...]]:
    """Rows with what speaks in them in the language that was chosen; how far a cell is indented stays."""
    for row in rows:
        yield tuple(cell[: len(cell) - len(cell.lstrip())] + told_where_it_speaks(cell.lstrip()) for cell in row)


def _last_wrapped(rows: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Rows whose last cell, where it is a sentence too long for its column, goes on in lines of its own."""
    room = MOST_CELLS - sum(max(map(width, column)) + 2 for column in list(zip(*rows, strict=True))[:-1])
    if room < _LEAST_ROOM or all(width(row[-1]) <= room for row in rows):
        return [*rows]
    return [
        (*(row[:-1] if at == 0 else ("",) * (len(row) - 1)), line)
        for row in rows
        for at, line in enumerate(_wrap(row[-1], "", room))
    ]


def _note(block: Note) -> list[str]:
    if block.severity is None and not block.where:
        return _wrap(block.line, "")
    if not block.where:
        return _wrap(f"{block.sign}: {block.line}", "")
    return [_fit_inert(f"{block.sign} {told_where_it_speaks(block.where)}"), *_wrap(block.line, "  ")]


def _wrap(text: str, indent: str, most: int = MOST_CELLS) -> list[str]:
    """Break a sentence at spaces, and between Chinese characters; a word too long for a line is cut."""
    found: list[str] = []
    line = ""
    for word in _WORD.findall(inert(text, _MOST_WORDS)):
        if line and width(indent) + width(line) + width(word) > most:
            found.append(indent + line)
            line = ""
        line = line + word if line else fit(word.lstrip(" "), most - len(indent))
    return [*found, indent + line]


def _code_lines(source: str) -> list[str]:
    """Code keeps its lines whole: cut ones would not run."""
    found = [inert(line, 10 * MOST_CELLS) for line in source.split("\n")]
    more = len(found) - _MOST_CODE_LINES
    return [*found[:_MOST_CODE_LINES], f"# … {counted(more, 'more line')}"] if more > 0 else found


def _bars(block: Bars) -> list[str]:
    counts = merge_bins(block.counts, _N_BARS)
    top = max(counts)
    drawn = "".join(_LEVELS[-(-count * (len(_LEVELS) - 1) // top)] for count in counts)
    return [
        f"  {_fit_inert(block.low, 20)} {drawn} {_fit_inert(block.high, 20)}",
        f"  the highest bar holds {exact_count(top)}",
    ]


def _curves(block: Curves) -> list[str]:
    """Each curve as a row of blocks, all on the one axis; a cell is the highest of its places."""
    span = block.decades
    if span is None:
        return []
    low, high = span
    rows = []
    for curve in block.curves:
        heights = [None if value is None or not value > 0 else math.log10(value) for value in curve.values]
        step = -(-len(heights) // _N_BARS)
        cells = []
        for start in range(0, len(heights), step):
            known = [height for height in heights[start : start + step] if height is not None]
            level = 1 + round((max(known) - low) / (high - low or 1) * (len(_LEVELS) - 2)) if known else 0
            cells.append(_LEVELS[min(max(level, 0), len(_LEVELS) - 1)])
        rows.append((f"  {_fit_inert(curve.name, 40)}", "".join(cells)))
    axis = f"{10**low:.2g} to {10**high:.2g}"
    about = told(f"{block.title}, {axis} on a logarithmic axis, from {block.first} to {block.last}")
    return [_fit_inert(about), *align_columns(rows)]


def merge_bins(counts: Sequence[int], most: int) -> list[int]:
    """Bins put together so that at most ``most`` are left.

    Example:
        >>> merge_bins([1, 2, 3, 4, 5], 3)
        [3, 7, 5]
    """
    step = -(-len(counts) // most)
    return [sum(counts[start : start + step]) for start in range(0, len(counts), step)]
