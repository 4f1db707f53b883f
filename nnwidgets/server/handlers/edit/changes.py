"""Answers to what else changes a model, and to what is asked of its history.

`assign`, `freeze`, `unfreeze`, `undo`, `redo`; `history` and `code`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from nnwidgets.edit import Change, assign, freeze, history, redo, undo, unfreeze
from nnwidgets.errors import InvalidTargetError
from nnwidgets.formatting import inert
from nnwidgets.server.handlers.edit.target import paths_meant
from nnwidgets.server.handlers.registry import handles
from nnwidgets.server.notebook.variables import optimizer_name
from nnwidgets.server.session.session import Session
from nnwidgets.wire.dispatch import Job
from nnwidgets.wire.schema.changes import ChangeReply, CodeReply, HistoryEntry, HistoryReply

_MOST_PATHS = 200
_MOST_NAMED = 3
_MOST_ENTRIES = 200
_MOST_TEXT = 400
_READERS: tuple[Callable[[str], Any], ...] = (int, float, complex)


@handles("assign", long=True, over_ranks=True)
def answer_assign(session: Session, body: Mapping[str, Any], job: Job) -> ChangeReply:
    """Set one element.

    Raises:
        InvalidTargetError: The text is no number, or the element isn't there or can't hold it.
    """
    index = f"[{', '.join(map(str, body['index']))}]" if body["index"] else ""
    value = read_value(body["value"])
    change = session.ask(lambda model: assign(model, body["path"] + index, value))
    return _change_reply(session, job, change, structure=False)


def read_value(text: str) -> Any:
    """Return the number or truth value that a text stands for.

    Raises:
        InvalidTargetError: It stands for none.

    Example:
        >>> read_value("0.5"), read_value(" -3 "), read_value("True"), read_value("1+2j")
        (0.5, -3, True, (1+2j))
    """
    plain = text.strip().replace("\u2212", "-").replace("\u202f", "")
    if plain in ("True", "False"):
        return plain == "True"
    for reader in _READERS:
        try:
            return reader(plain)
        except ValueError:
            continue
    raise InvalidTargetError(f"{inert(text, 60)!r} is no number.", hint="Such as 0.5, 1e-3, nan or inf.")


@handles("freeze", long=True, over_ranks=True)
def answer_freeze(session: Session, body: Mapping[str, Any], job: Job) -> ChangeReply:
    """Have the target ask for no gradient."""
    paths = paths_meant(session, body)
    return _change_reply(session, job, session.ask(lambda model: freeze(model, paths)), structure=True)


@handles("unfreeze", long=True, over_ranks=True)
def answer_unfreeze(session: Session, body: Mapping[str, Any], job: Job) -> ChangeReply:
    """Have the target ask for gradients."""
    paths = paths_meant(session, body)
    return _change_reply(session, job, session.ask(lambda model: unfreeze(model, paths)), structure=True)


@handles("undo", long=True, over_ranks=True)
def answer_undo(session: Session, body: Mapping[str, Any], job: Job) -> ChangeReply:
    """Take the last change back.

    Raises:
        InvalidTargetError: There is nothing to undo.
        ChangedSinceError: Other code has written since, and the body doesn't force it.
    """
    return _change_reply(session, job, session.ask(partial(undo, force=body.get("force", False))), structure=True)


@handles("redo", long=True, over_ranks=True)
def answer_redo(session: Session, body: Mapping[str, Any], job: Job) -> ChangeReply:
    """Make the last undone change again; raises as `undo` does."""
    return _change_reply(session, job, session.ask(partial(redo, force=body.get("force", False))), structure=True)


@handles("history", long=True, over_ranks=True)
def answer_history(session: Session, _body: Mapping[str, Any], _job: Job) -> HistoryReply:
    """Give the last 200 changes, in force and undone."""
    found = session.ask(history)
    n_done = len(found.changes)
    entries = [
        *(_entry(change, "kept" if k < found.n_dropped else "done") for k, change in enumerate(found.changes)),
        *(_entry(change, "undone") for change in found.undone),
    ]
    first = max(0, len(entries) - _MOST_ENTRIES)
    return {
        "entries": entries[first:],
        "first": first,
        "n_changes": n_done,
        "undo": inert(found.changes[-1].label, _MOST_TEXT) if n_done > found.n_dropped else None,
        "redo": inert(found.undone[0].label, _MOST_TEXT) if found.undone else None,
        "kept_bytes": found.kept_bytes,
        "budget_bytes": found.budget_bytes,
    }


@handles("code", long=True, over_ranks=True)
def answer_code(session: Session, body: Mapping[str, Any], _job: Job) -> CodeReply:
    """Give Python that makes one change, or all of them, again.

    Raises:
        InvalidTargetError: No change has that number.
    """
    found = session.ask(history)
    optimizers = session.optimizers() if session.over_ranks is None else []
    names = (session.code_name, optimizer_name(optimizers))
    number = body.get("index")
    if number is None:
        return {"code": found.to_code(*names)}
    if not 0 <= number < len(found.changes):
        raise InvalidTargetError(f"There is no change {number}.", hint=f"There are {len(found.changes)}, from 0.")
    return {"code": found.changes[number].to_code(*names)}


def _change_reply(session: Session, job: Job, change: Change, *, structure: bool) -> ChangeReply:
    job.after_reply(partial(session.report_change, structure=structure))
    return {
        "label": inert(change.label, _MOST_TEXT),
        "paths": list(change.paths[:_MOST_PATHS]),
        "n_paths": len(change.paths),
        "seed": change.seed,
        "warnings": [inert(each, _MOST_TEXT) for each in change.warnings],
    }


def _entry(change: Change, state: Any) -> HistoryEntry:
    return {
        "label": inert(change.label, _MOST_TEXT),
        "kind": change.kind,
        "paths": list(change.paths[:_MOST_NAMED]),
        "n_paths": len(change.paths),
        "seed": change.seed,
        "time": change.time,
        "warnings": [inert(each, _MOST_TEXT) for each in change.warnings],
        "state": state,
    }
