"""Answers to `mark`: what a model's tensors were at one moment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nnwidgets.checkpoint import snapshot
from nnwidgets.errors import InvalidTargetError
from nnwidgets.server.handlers.registry import handles
from nnwidgets.server.session.session import Session
from nnwidgets.wire.dispatch import Job
from nnwidgets.wire.schema.table import MarkReply


@handles("mark", long=True)
def answer_mark(session: Session, body: Mapping[str, Any], _job: Job) -> MarkReply:
    """Set a mark, with the values where the undo budget has room for them, or let go of it."""
    session.mark = None
    if body["set"]:
        try:
            session.mark = snapshot(session.module)
        except InvalidTargetError:
            session.mark = snapshot(session.module, values=False)
    made = session.mark
    return {
        "mark": None if made is None else made.label,
        "size_bytes": 0 if made is None else made.size_bytes,
        "has_values": made is not None and made.has_values,
    }
