"""Answers to `values` of a model over ranks: each cell from a rank that has it, with the parts' borders."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nnwidgets.distributed.merging.values import merged
from nnwidgets.introspect.heatmap.window import Box, grid
from nnwidgets.server.handlers.over_ranks.asked import path_in_question, session_over_ranks
from nnwidgets.server.handlers.registry import handles_over_ranks
from nnwidgets.server.handlers.values import sides_of, window_body
from nnwidgets.server.session.session import Session
from nnwidgets.wire.dispatch import Job
from nnwidgets.wire.errors import RequestError
from nnwidgets.wire.schema.inspect import MatrixBox, ValuesReply


@handles_over_ranks("values")
def answer_values_over_ranks(session: Session, body: Mapping[str, Any], _job: Job) -> ValuesReply:
    """Give a window of a tensor or its gradient.

    Raises:
        PathNotFoundError: Nothing is at the path.
        RequestError: `unreadable`.
        RankMissingError: No rank answered.
    """
    entry, path = path_in_question(session, body)
    shape = entry.shape or ()
    start, count = (body.get("row", 0), body.get("column", 0)), (body.get("rows"), body.get("columns"))
    area, steps = grid(shape, start, count, sides_of(body))
    question = {"area": list(area), "steps": list(steps)}
    replies, _ = session_over_ranks(session).ask(lambda model: model.ask("values", paths=[path], window=question))
    found = merged({rank: reply["tile"] for rank, reply in replies.items()}, shape, area, steps)
    if isinstance(found, str):
        raise RequestError("unreadable", f"{path} can't be shown: {found}.", path=path)
    return {
        **window_body(found.window),
        "shards": [{**_box(box), "ranks": list(ranks)} for box, ranks in found.shards],
        "absent": [_box(box) for box in found.absent],
    }


def _box(box: Box) -> MatrixBox:
    row, column, rows, columns = box
    return {"row": row, "column": column, "rows": rows, "columns": columns}
