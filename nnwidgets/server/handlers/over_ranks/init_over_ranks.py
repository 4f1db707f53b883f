"""Answers to `initializers`, `preview` and `init` of a model over ranks."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from typing import Any, cast

from nnwidgets.edit import init
from nnwidgets.edit.operations.initializers import get_initializer
from nnwidgets.errors import InitializerError
from nnwidgets.formatting import inert
from nnwidgets.server.handlers.edit.init import MOST_TEXT, arguments_of, seed_of, tensors_of
from nnwidgets.server.handlers.edit.target import paths_meant, scope_of_filter, target_for_ranks
from nnwidgets.server.handlers.registry import handles_over_ranks
from nnwidgets.server.session.session import Session
from nnwidgets.wire.dispatch import Job
from nnwidgets.wire.schema.changes import InitializersReply, InitReply


@handles_over_ranks("initializers")
def answer_initializers_over_ranks(session: Session, body: Mapping[str, Any], _job: Job) -> InitializersReply:
    """Give what the first rank that answers says of its part: tensors are known by their whole shapes there.

    Raises:
        PathNotFoundError: Nothing is at the path.
        InvalidTargetError: It means no tensor.
        RankMissingError: No rank answers, or one can't.
    """
    replies, _ = session.ask(lambda model: model.ask("initializers", target=target_for_ranks(session, body)))
    found = cast("InitializersReply", dict(replies[min(replies)]))
    return {**found, "scopes": found["scopes"] + scope_of_filter(session.index(), body)}


@handles_over_ranks("preview")
def answer_preview_over_ranks(session: Session, body: Mapping[str, Any], job: Job) -> InitReply:
    """Give the whole's figures as `init` gives them, with nothing written."""
    return _fill(session, body, job, is_preview=True)


@handles_over_ranks("init")
def answer_init_over_ranks(session: Session, body: Mapping[str, Any], job: Job) -> InitReply:
    """Fill the target on all ranks, or on none.

    Raises:
        RankMissingError: One is missing, or can't; none is changed.
    """
    return _fill(session, body, job, is_preview=False)


def _fill(session: Session, body: Mapping[str, Any], job: Job, *, is_preview: bool) -> InitReply:
    kwargs, initializer = dict(body.get("kwargs", {})), None
    with suppress(InitializerError):  # one that the ranks alone know checks its parameters there
        initializer = get_initializer(body["how"], body["path"])
    if initializer is not None:
        kwargs = arguments_of(initializer, kwargs, body["path"])
    seed = seed_of(body.get("seed"), body["path"])
    paths = paths_meant(session, body)
    job.check()
    change = session.ask(lambda model: init(model, paths, body["how"], seed=seed, preview=is_preview, **kwargs))
    if not is_preview:
        job.after_reply(partial(session.report_change, structure=False))
    by_path = {entry.path: entry for entry in session.index().tensors}
    return {
        "label": inert(change.label, MOST_TEXT),
        "seed": change.seed,
        "n_tensors": len(change.paths),
        "n_elements": change.n_elements,
        "tensors": tensors_of(session, by_path, change, change.before),
        "warnings": [inert(each, MOST_TEXT) for each in change.warnings],
        "stale": [],
        "code": change.to_code(session.code_name),
    }
