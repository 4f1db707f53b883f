"""What there is to say of all tensors of a model at once: a row each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from nnwidgets.formatting import counted, dtype_short, exact_count, shape_text, short_count
from nnwidgets.introspect import StatsRow, StatsTable
from nnwidgets.text.document import Block, Document, Note, Table
from nnwidgets.text.pages.model import MOST_ROWS


def stats_table_page(table: StatsTable) -> Document:
    """Statistics of the tensors of a model: columns that say something, and what isn't finite."""
    if not table:
        return (Note("No tensors."),)
    shown = [column for column in _COLUMNS if column.is_always or any(map(column.value, table))]
    rows = tuple(tuple(column.text(row) for column in shown) for row in table[:MOST_ROWS])
    right = tuple(at for at, column in enumerate(shown) if column.is_number)
    n_elements = sum(row.n_elements for row in table if not row.tied_to)
    said = f"{counted(len(table), 'tensor', exact_count)} · {counted(n_elements, 'element', short_count)}"
    tied = sum(bool(row.tied_to) for row in table)
    said += f", {exact_count(tied)} of the tensors measured under another name" if tied else ""
    heads = tuple(column.head for column in shown)
    blocks: list[Block] = [Table(heads, rows, right, n_more=len(table) - len(rows)), Note(said)]
    odd = [row.path for row in table if row.n_nan or row.n_inf or row.n_grad_bad]
    if odd:
        named = f"{odd[0]} and {counted(len(odd) - 1, 'other', exact_count)}" if len(odd) > 1 else odd[0]
        blocks.append(Note(f"NaN or infinite elements in {named}.", "warning"))
    return tuple(blocks)


def stats_row_page(row: StatsRow) -> Document:
    """Statistics of one tensor of a table."""
    return stats_table_page(StatsTable((row,)))[:1]


@dataclass(frozen=True)
class _Column:
    head: str
    value: Callable[[StatsRow], Any]
    is_always: bool = False
    is_number: bool = True

    def text(self, row: StatsRow) -> str:
        value = self.value(row)
        if value is None or isinstance(value, str):
            return value or ""
        return f"{value:.4g}" if isinstance(value, float) else exact_count(value)


_COLUMNS = (
    _Column("tensor", lambda row: row.path, is_always=True, is_number=False),
    _Column("shape", lambda row: shape_text(row.shape), is_always=True, is_number=False),
    _Column("dtype", lambda row: dtype_short(row.dtype), is_always=True, is_number=False),
    _Column("mean", lambda row: row.mean, is_always=True),
    _Column("std", lambda row: row.std, is_always=True),
    _Column("min", lambda row: row.min, is_always=True),
    _Column("max", lambda row: row.max, is_always=True),
    _Column("norm", lambda row: row.norm, is_always=True),
    _Column("zeros", lambda row: row.n_zero),
    _Column("NaN", lambda row: row.n_nan),
    _Column("inf", lambda row: row.n_inf),
    _Column("grad norm", lambda row: row.grad_norm),
    _Column("grad NaN", lambda row: row.n_grad_bad),
    _Column("moved", lambda row: row.moved),
    _Column("", lambda row: f"= {row.tied_to}" if row.tied_to else row.note, is_number=False),
)
