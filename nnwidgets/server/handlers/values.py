"""Answers to `values`: a window of a tensor seen as a matrix, which a heat map draws."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nnwidgets.introspect.heatmap.window import Window, window
from nnwidgets.server.handlers.registry import handles
from nnwidgets.server.session.live_tensor import LiveTensor, live_tensor
from nnwidgets.server.session.session import Session
from nnwidgets.wire.codec import Blob
from nnwidgets.wire.dispatch import Job
from nnwidgets.wire.schema.inspect import ValuesReply

_DEFAULT_SIDE = 128
_MAX_SIDE = 1_024
_QUICK_CELLS = 65_536


def _reads_much(body: Mapping[str, Any]) -> bool:
    return not {"rows", "columns"} <= body.keys() or body["rows"] * body["columns"] > _QUICK_CELLS


@handles("values", long=_reads_much)
def answer_values(session: Session, body: Mapping[str, Any], job: Job) -> ValuesReply:
    """Give a window of a tensor or its gradient.

    Raises:
        RequestError: `unreadable`.
    """
    return values_of(live_tensor(session, body["path"]), body, job)


def values_of(live: LiveTensor, wanted: Mapping[str, Any], job: Job) -> ValuesReply:
    """Return the window that a body wants of a live tensor, or of its gradient.

    Raises:
        RequestError: `unreadable`.
    """
    max_rows, max_columns = sides_of(wanted)
    found = window(
        live.part(wanted.get("of", "value")).readable(),
        row=wanted.get("row", 0),
        column=wanted.get("column", 0),
        rows=wanted.get("rows"),
        columns=wanted.get("columns"),
        max_rows=max_rows,
        max_columns=max_columns,
        cancelled=lambda: job.cancelled,
    )
    return window_body(found)


def sides_of(wanted: Mapping[str, Any]) -> tuple[int, int]:
    """The most rows and columns of cells that a body wants."""
    rows, columns = (min(max(wanted.get(side, _DEFAULT_SIDE), 1), _MAX_SIDE) for side in ("max_rows", "max_columns"))
    return rows, columns


def window_body(found: Window) -> ValuesReply:
    """Return a window for the page."""
    return {
        "n_rows": found.n_rows,
        "n_columns": found.n_columns,
        "row": found.row,
        "column": found.column,
        "row_step": found.row_step,
        "column_step": found.column_step,
        "values": Blob("float32", found.shape, found.values),  # type: ignore[typeddict-item] # the codec makes it one
        "texts": found.texts,
        "scale": found.scale,
        "row_axes": list(found.row_axes),
        "column_axes": list(found.column_axes),
        "shape": list(found.tensor_shape),
    }
