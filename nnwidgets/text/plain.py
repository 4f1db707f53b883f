"""Documents as plain text for a terminal: aligned, cut to a sane width, with nothing in it that moves the cursor."""

from __future__ import annotations

from collections.abc import Sequence

from nnwidgets.edit import Change, History
from nnwidgets.formatting import aligned, exact_count, fit, inert, pad, width
from nnwidgets.introspect.module_tree.nodes import ModuleTree
from nnwidgets.introspect.module_tree.text import MOST_CELLS, lay_out
from nnwidgets.introspect.records import Finding, TensorEntry, TensorStats, TieGroup, Trace
from nnwidgets.text.document import Bars, Block, Code, Document, Facts, Note, Outline, Table, Title, Written
from nnwidgets.text.pages import changes, model

_MOST_WORDS = 2_000
_MOST_CODE_LINES = 200
_PAIRS_PER_LINE = 3
_LEVELS = " ▁▂▃▄▅▆▇█"
_N_BARS = 64
_SIGNS = {"error": "✗ error", "warning": "▲ warning", "note": "ℹ note"}


def tree_text(tree: ModuleTree, *, path: str = "", name: str | None = None, depth: int | None = None) -> str:
    """A tree, or what is below ``path``; ``str(tree)`` says the same.

    Example:
        >>> from torch import nn
        >>> from nnwidgets import tree
        >>> print(tree_text(tree(nn.Linear(2, 3)), depth=0).splitlines()[0])
        Linear    2 → 3  9
    """
    return written(model.tree_page(tree, path=path, name=name, depth=depth))


def tensor_text(entry: TensorEntry, stats: TensorStats | None = None, *, unread: str | None = None) -> str:
    """One tensor: facts, statistics, a small histogram."""
    return written(model.tensor_page(entry, stats, unread=unread))


def module_text(tree: ModuleTree, path: str, *, name: str | None = None, findings: Sequence[Finding] = ()) -> str:
    """One module: facts, and what is directly in it."""
    return written(model.module_page(tree, path, name=name, findings=findings))


def ties_text(ties: Sequence[TieGroup]) -> str:
    """Tie groups.

    Example:
        >>> print(ties_text(()))
        No tensors are tied.
    """
    return written(model.ties_page(ties))


def findings_text(findings: Sequence[Finding]) -> str:
    """Findings with their fixes.

    Example:
        >>> print(findings_text([Finding("frozen", "note", "0", "It is frozen.", "net[0].requires_grad_(True)")]))
        ℹ note 0
          It is frozen. [frozen]
            net[0].requires_grad_(True)
    """
    return written(model.findings_page(findings))


def trace_text(trace: Trace, *, name: str | None = None) -> str:
    """A forward pass, call by call."""
    return written(model.trace_page(trace, name=name))


def change_text(change: Change, *, name: str | None = None) -> str:
    """A change: its numbers before and after, seed, ties, warnings.

    Example:
        >>> from torch import nn
        >>> from nnwidgets import init
        >>> print(change_text(init(nn.Linear(2, 3), "bias", "zeros_")).splitlines()[-1].split())
        ['after', '0', '0', '0', '0']
    """
    return written(changes.change_page(change, name=name))


def history_text(history: History, *, name: str | None = None) -> str:
    """The changes of a model in a table."""
    return written(changes.history_page(history, name=name))


def written(document: Document) -> str:
    """A document as text.

    Example:
        >>> from nnwidgets.text.document import Title
        >>> print(written((Title("0.weight", "Parameter"),)))
        0.weight · Parameter
    """
    return "\n".join(line for block in document for line in _lines(block))


def _lines(block: Block) -> list[str]:  # noqa: PLR0911 - one way out per kind of block
    match block:
        case Title():
            return [_cut(" · ".join(filter(None, (block.text, block.detail))))]
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
                return model.inert_code(block.source).split("\n")
            return [f"    {line}" for line in _code_lines(block.source)]
        case Bars():
            return _bars(block)
        case Written():
            return [_cut(line) for line in block.text.split("\n")]


def _cut(text: str, most: int = MOST_CELLS) -> str:
    return fit(inert(text, most + 1), most)


def _facts(block: Facts) -> list[str]:
    cells = [(_cut(name, 20), _cut(value, 60)) for name, value in block.pairs]
    found: list[str] = []
    columns = [cells[start::_PAIRS_PER_LINE] for start in range(_PAIRS_PER_LINE)]
    spans = [
        (max((width(name) for name, _ in column), default=0), max((width(value) for _, value in column), default=0))
        for column in columns
    ]
    for start in range(0, len(cells), _PAIRS_PER_LINE):
        pairs = [
            f"{pad(name, spans[at][0])}  {pad(value, spans[at][1])}"
            for at, (name, value) in enumerate(cells[start : start + _PAIRS_PER_LINE])
        ]
        found.append(fit(("  " + "    ".join(pairs)).rstrip(), MOST_CELLS))
    return found


def _table(block: Table) -> list[str]:
    rows = [block.heads, *(tuple(inert(cell, MOST_CELLS) for cell in row) for row in block.rows)]
    found = aligned(rows, right=block.right, most=MOST_CELLS)
    if block.n_more:
        found.append(f"… {exact_count(block.n_more)} more")
    return found


def _note(block: Note) -> list[str]:
    if block.severity is None and not block.where:
        return _wrapped(block.line, "")
    sign = _SIGNS.get(block.severity or "note", "")
    if not block.where:
        return _wrapped(f"{sign}: {block.line}", "")
    return [_cut(f"{sign} {block.where}"), *_wrapped(block.line, "  ")]


def _wrapped(text: str, indent: str) -> list[str]:
    """Break a sentence at spaces; a word too long for a line is cut."""
    found: list[str] = []
    line = ""
    for word in inert(text, _MOST_WORDS).split(" "):
        if line and width(indent) + width(line) + 1 + width(word) > MOST_CELLS:
            found.append(indent + line)
            line = ""
        line = f"{line} {word}" if line else fit(word, MOST_CELLS - len(indent))
    return [*found, indent + line]


def _code_lines(source: str) -> list[str]:
    """Code keeps its lines whole: cut ones would not run."""
    found = [inert(line, 10 * MOST_CELLS) for line in source.split("\n")]
    more = len(found) - _MOST_CODE_LINES
    return [*found[:_MOST_CODE_LINES], f"# … {more} more lines"] if more > 0 else found


def _bars(block: Bars) -> list[str]:
    counts = merged(block.counts, _N_BARS)
    top = max(counts)
    drawn = "".join(_LEVELS[-(-count * (len(_LEVELS) - 1) // top)] for count in counts)
    return [f"  {_cut(block.low, 20)} {drawn} {_cut(block.high, 20)}", f"  the highest bar holds {exact_count(top)}"]


def merged(counts: Sequence[int], most: int) -> list[int]:
    """Bins put together so that at most ``most`` are left.

    Example:
        >>> merged([1, 2, 3, 4, 5], 3)
        [3, 7, 5]
    """
    step = -(-len(counts) // most)
    return [sum(counts[start : start + step]) for start in range(0, len(counts), step)]
