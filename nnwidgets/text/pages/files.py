"""What there is to say of a file by itself: its names as a tree, the numbers of its tensors, what looks wrong in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import PurePath

from nnwidgets.checkpoint.without_model import FileReport
from nnwidgets.checkpoint.without_model.file_module import GROUP
from nnwidgets.formatting import counted, exact_count, short_bytes
from nnwidgets.introspect.module_tree.nodes import ModuleTree
from nnwidgets.introspect.module_tree.text import TextRow, count_text, lines
from nnwidgets.introspect.records import TensorStats
from nnwidgets.text.document import Document, Note, Outline, Title
from nnwidgets.text.pages.model import MOST_ROWS, findings_page, number

_MOST_ROWS_OF_A_PAGE = 20_000
_NO_DATA = "meta: no data"
_HEADS = ("mean", "std", "min", "max", "norm", "zeros", "NaN", "infinite")


def file_tree_page(
    tree: ModuleTree,
    name: str,
    *,
    path: str = "",
    depth: int | None = None,
    numbers: Mapping[str, TensorStats] | None = None,
) -> Document:
    """A file's names as a tree.

    Args:
        tree: That of its `file_module`.
        name: What the file is called.
        path: The group to begin at.
        depth: How many levels of groups to show.
        numbers: Statistics by path, to be shown beside each tensor; runs of like groups aren't folded then.
    """
    most, is_folded = (MOST_ROWS, True) if numbers is None else (_MOST_ROWS_OF_A_PAGE, False)
    shown, n_more = lines(tree, path=path, name=path or name, depth=depth, most=most, is_folded=is_folded)
    rows = tuple(map(_row, shown))
    cells = {at: _cells(found) for at, found in (numbers or {}).items()}
    n_elements = sum(each.n_elements for each in tree.tensors)
    n_buffers = sum(each.n_elements for each in tree.tensors if each.role == "buffer")
    said = (
        f"{counted(len(tree.tensors), 'tensor', exact_count)} · {counted(n_elements, 'element', count_text)}"
        f"{f', {count_text(n_buffers)} of them in buffers' if n_buffers else ''} · {short_bytes(tree.size_bytes)}"
    )
    return (Outline(rows, n_more, _HEADS if cells else (), cells), Note(said))


def report_page(report: FileReport) -> Document:
    """What was found wrong in a file, and how much of it was read."""
    n_elements = sum(each.n for each in report.numbers.values())
    n = len(report.numbers)
    read = f"{counted(n, 'tensor', exact_count)} read · {counted(n_elements, 'element', count_text)}"
    return (Title(PurePath(report.index.path).name, report.index.format), *findings_page(report.findings), Note(read))


def _row(row: TextRow) -> TextRow:
    """A row without what a file doesn't say: where its tensors are, and of what class a group was."""
    marks = tuple(mark for mark in row.marks if mark != _NO_DATA)
    return replace(row, marks=marks, class_name="" if row.class_name == GROUP else row.class_name)


def _cells(found: TensorStats) -> tuple[str, ...]:
    numbers = (number(getattr(found, each)) for each in _HEADS[:5])
    return (*numbers, *("" if not n else exact_count(n) for n in (found.n_zero, found.n_nan, found.n_inf)))
