"""Answers to `table`: statistics of all tensors, a row each, measured once and then shown window by window."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast, get_args

from nnwidgets.formatting import inert
from nnwidgets.introspect import StatsRow, StatsTable
from nnwidgets.server.handlers.paging import window
from nnwidgets.server.handlers.registry import handles
from nnwidgets.server.rows.filter import matches
from nnwidgets.server.rows.filter_words import below
from nnwidgets.server.rows.tree_index import TreeIndex
from nnwidgets.server.session.session import Session
from nnwidgets.wire.dispatch import Job
from nnwidgets.wire.schema.table import Column, TableReply, TableRow

_MOST_TEXT = 200
_SELDOM = frozenset(("n_nan", "n_inf", "n_grad_bad"))
_COLUMNS: tuple[Column, ...] = get_args(Column)


@handles("table", long=True, over_ranks=True)
def answer_table(session: Session, body: Mapping[str, Any], job: Job) -> TableReply:
    """Measure all tensors, with progress; the result holds no tensor and is kept for scrolling through it."""
    index = session.index()
    whole = session.stats_table
    if whole is None or body["fresh"]:
        whole = session.stats_table = session.measure(job)
    kept, problem = _filtered(whole, index, body["filter"], frozenset(body["chips"]))
    if body["sort"] is not None:
        kept = kept.sort(body["sort"], descending=body["descending"])
    start, shown = window(kept, body["start"], body["count"])
    texts = {"markdown": kept.to_markdown, "csv": kept.to_csv}
    return {
        "columns": [name for name in _COLUMNS if any(_is_told(row, name) for row in whole)],
        "n_tensors": len(whole),
        "total": len(kept),
        "start": start,
        "rows": list(map(_row, shown)),
        "mark": None if session.mark is None else session.mark.label,
        "problem": problem,
        "text": texts[body["text"]]() if body["text"] else "",
    }


def _filtered(table: StatsTable, index: TreeIndex, text: str, chips: frozenset[str]) -> tuple[StatsTable, str | None]:
    """The rows that the tree's filter keeps, and why it can't be read."""
    found = matches(index, text, chips)
    if not found.is_filter or found.problem is not None:
        return table, found.problem
    kept = found.tensors | below(index, set(found.nodes))[1]
    paths = {index.tensors[number].path for number in kept}
    return StatsTable(row for row in table if row.path in paths), None


def _is_told(row: StatsRow, name: Column) -> bool:
    if name == "note":
        return bool(row.note or row.tied_to)
    return bool(getattr(row, name)) if name in _SELDOM else getattr(row, name) is not None


def _row(row: StatsRow) -> TableRow:
    made: dict[str, Any] = {name: getattr(row, name) for name in _COLUMNS}
    shape = None if row.shape is None else list(row.shape)
    return cast("TableRow", {**made, "shape": shape, "tied_to": row.tied_to, "note": inert(row.note, _MOST_TEXT)})
