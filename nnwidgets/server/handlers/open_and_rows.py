"""Answers to `open` and `rows`: the model at a glance, and a window of its flattened tree."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from nnwidgets.formatting import inert
from nnwidgets.server.handlers.paging import window
from nnwidgets.server.handlers.registry import handles
from nnwidgets.server.rows.filter import chip_counts
from nnwidgets.server.rows.flatten import FlatTree, ViewState
from nnwidgets.server.rows.row_body import row_body, totals
from nnwidgets.server.session.ranked_session import RankedSession
from nnwidgets.server.session.session import Session
from nnwidgets.wire.codec import encode
from nnwidgets.wire.dispatch import Job
from nnwidgets.wire.schema.tree import OpenReply, RanksState, RowsReply

_MAX_EXPANDED = 20_000
_FIRST_ROWS = 40
_MAX_FIRST = 48_000


@handles("open", over_ranks=True)
def answer_open(session: Session, _body: Mapping[str, Any], _job: Job) -> OpenReply:
    """Give totals, chips and the first rows."""
    return _overview(session, _FIRST_ROWS)


def first_view(session: Session) -> dict[str, Any]:
    """Return the reply to `open` as JSON, with as many rows as fit the first message, whatever the names are."""
    for n_rows in (_FIRST_ROWS, _FIRST_ROWS // 4, 1):
        reply, _ = encode(_overview(session, n_rows))
        if len(json.dumps(reply)) <= _MAX_FIRST:
            return reply
    reply["rows"].update(rows=[], expanded=[], ruler=[])
    return reply


@handles("rows", over_ranks=True)
def answer_rows(session: Session, body: Mapping[str, Any], _job: Job) -> RowsReply:
    """Give a window of the flattened tree."""
    return _window(session, session.flat(ViewState.of(body)), body["start"], body["count"])


def _overview(session: Session, n_rows: int) -> OpenReply:
    flat = session.flat(ViewState())
    index = flat.index
    made: OpenReply = {
        "name": session.name or inert(index.nodes[0].class_name),
        "class_name": inert(index.nodes[0].class_name),
        "totals": totals(index),
        "chips": chip_counts(index),
        "rows": _window(session, flat, 0, n_rows),
    }
    if isinstance(session, RankedSession):
        made["ranks"] = _ranks(session)
    if session.signal.number:
        made["run"] = session.signal.number
    return made


def _ranks(session: RankedSession) -> RanksState:
    tree = session.reading.tree
    mesh = max((entry.mesh for entry in tree.tensors), key=len, default=())
    held = dict(enumerate(tree.by_rank))
    return {
        "mesh": [{"name": inert(name, 40), "size": size} for name, size in mesh],
        "ranks": [
            {
                "rank": status.rank,
                "host": inert(status.host, 80),
                "state": status.state,
                "answered": status.answered,
                "doing": inert(status.doing, 300),
                "local_bytes": held.get(at, 0),
            }
            for at, status in enumerate(session.statuses)
        ],
        "problem": None if session.problem is None else inert(session.problem, 500),
        "can_change": session.over_ranks.ranks.can_change,
    }


def _window(session: Session, flat: FlatTree, start: int, count: int) -> RowsReply:
    start, rows = window(flat.rows, start, count)
    name = session.name or inert(flat.index.nodes[0].class_name)
    made = [row_body(flat, row, name, session.trace_marks, session.signal) for row in rows]
    for each in made:
        if each["kind"] == "tensor" and each["path"] in session.untrained:
            each["untrained"] = True
    folds = {each["id"]: row.run for row, each in zip(rows, made, strict=True) if row.run is not None}
    session.note_shown([each["path"] for each in made if each["fold"] is None], (flat.index, folds))
    return {
        "generation": session.generation,
        "total": len(flat.rows),
        "start": start,
        "rows": made,
        "expanded": flat.expanded_ids[:_MAX_EXPANDED],
        "n_matches": flat.n_matches,
        "problem": flat.problem,
        "ruler": flat.ruler,
    }
