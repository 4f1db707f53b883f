"""Answers to `rank`: what this process holds of a model, for whoever asks all ranks and merges what they say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nnwidgets.distributed.answering import answer
from nnwidgets.errors import NNWidgetsError
from nnwidgets.server.handlers.edit.initializers import answer_initializers
from nnwidgets.server.handlers.edit.target import resolve_target
from nnwidgets.server.handlers.registry import handles
from nnwidgets.server.session.session import Session
from nnwidgets.wire.dispatch import Job
from nnwidgets.wire.schema.ranks import RankReply


@handles("rank", long=True)
def answer_rank(session: Session, body: Mapping[str, Any], job: Job) -> RankReply:
    """Give this rank's part of the answer; what an error advises is in Python's words, since it isn't for a page."""
    said: Mapping[str, Any] | None = None
    if body["ask"] == "initializers":
        said = answer_initializers(session, body["target"], job)
    elif body["ask"] == "target":
        said = {"paths": resolve_target(session, body["target"]).paths}
    try:
        return answer(session.module, body, said)
    except NNWidgetsError as error:
        error.hint = str(error.hint)
        raise
