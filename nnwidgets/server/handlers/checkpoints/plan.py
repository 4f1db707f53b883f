"""Answers to `plan`: what a load would do, with the renames that the page accepts, refuses or types."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from nnwidgets.checkpoint import LoadPlan, PlanEntry, plan
from nnwidgets.checkpoint.records import WORST_FIRST, Suggestion
from nnwidgets.errors import PathNotFoundError
from nnwidgets.formatting import inert
from nnwidgets.server.handlers.checkpoints.browse import entry_body, read_header
from nnwidgets.server.handlers.paging import holds, window
from nnwidgets.server.handlers.registry import handles
from nnwidgets.server.notebook.folder import errors_named_from_here, resolve_in_folder
from nnwidgets.server.session.file_cache import signature
from nnwidgets.server.session.session import Session
from nnwidgets.wire.dispatch import Job
from nnwidgets.wire.schema.checkpoints import PlanReply, PlanRow, SuggestionBody

_MOST_TEXT = 400
_MOST_WARNINGS = 50


@handles("plan", long=True, over_ranks=True)
def answer_plan(session: Session, body: Mapping[str, Any], job: Job) -> PlanReply:
    """Say what a load would do; nothing of the model or of the file's tensors is read.

    Raises:
        RequestError: `outside-folder`.
        PathNotFoundError: A rename names nothing in the file or in the model, or the file isn't there.
        CheckpointMismatchError: Two names were to become one.
    """
    file = resolve_in_folder(body["path"])
    suggested = plan_for(session, file, {}, body.get("entry"))
    job.check()
    rename = chosen_renames(file, suggested, body)
    found = plan_for(session, file, rename, body.get("entry"))
    job.check()
    keep, text = set(body["keep"]), body["text"]
    entries = session.file_cache.get(("plan rows", id(found)), lambda: (found, _in_order(found)))[1]
    before = {each.path: each.suggestion for each in suggested.entries if each.suggestion is not None}
    if keep or text.strip():
        entries = [
            each
            for each in entries
            if (not keep or each.status in keep)
            and holds(text, (each.path, each.source, each.suggestion.source if each.suggestion else None))
        ]
    start, shown = window(entries, body["start"], body["count"])
    of_model = [each for each in found.entries if each.path is not None]
    loads = [each for each in of_model if each.is_loaded]
    refused = {name for name, to in body["rename"].items() if to is None}
    index = read_header(session, file)[0]
    reply: PlanReply = {
        "path": body["path"],
        "counts": {status: found.counts[status] for status in WORST_FIRST if status in found.counts},
        "n_model": len(of_model),
        "n_loads": len(loads),
        "n_elements": sum(each.n_elements for each in loads if each.status != "tied"),
        "n_suggested": len([name for name in found.renames if name not in rename and name not in refused]),
        "n_renames": len(rename),
        "is_exact": found.is_exact,
        "is_complete": found.is_complete,
        "has_optimizer": index.optimizer is not None and bool(session.optimizers()),
        "warnings": [inert(each, _MOST_TEXT) for each in found.warnings[:_MOST_WARNINGS]],
        "runs": [
            {"status": status, "count": len(list(run))} for status, run in groupby(entry.status for entry in entries)
        ],
        "total": len(entries),
        "start": start,
        "rows": [_row(each, _reason(each, before), found.suggestions.get(each.path or "", ())) for each in shown],
    }
    if len(index.entries) > 1:
        reply["entry"] = entry_body(found.entry)
    return reply


def plan_for(session: Session, file: Path, rename: Mapping[str, str], entry: str | None) -> LoadPlan:
    """Return the plan of a load, made again only when the file, the model's tree or what is asked for has changed."""
    session.index()
    key: Hashable = ("plan", signature(file), session.generation, tuple(rename.items()), entry)

    def make() -> LoadPlan:
        with errors_named_from_here():
            return session.ask(lambda model: plan(model, file, rename=rename or None, entry=entry))

    return session.file_cache.get(key, make)


def chosen_renames(file: Path, suggested: LoadPlan, body: Mapping[str, Any]) -> dict[str, str]:
    """Return the renames that a body asks for: what was typed, then what is suggested where all of it is accepted.

    Args:
        file: The file.
        suggested: The plan without any rename.
        body: With `accept_all` and `rename`.

    Raises:
        PathNotFoundError: A name is none of the file's: a part of one, which `plan` takes, is not meant here.
    """
    names = dict.fromkeys(each.source for each in suggested.entries if each.source is not None)
    for source, path in body["rename"].items():
        if path is not None and source not in names:
            raise PathNotFoundError.among(source, names, where=inert(file.name, _MOST_TEXT), listed_by="")
    made = {source: path for source, path in body["rename"].items() if path is not None}
    if body["accept_all"]:
        taken = set(made.values())
        made |= {
            source: path
            for source, path in suggested.renames.items()
            if source not in body["rename"] and path not in taken
        }
    return made


def _in_order(found: LoadPlan) -> list[PlanEntry]:
    """Problems first; those alike in the order of the plan."""
    rank = {status: index for index, status in enumerate(WORST_FIRST)}
    return sorted(found.entries, key=lambda each: rank[each.status])


def _reason(entry: PlanEntry, before: Mapping[str | None, Suggestion]) -> Suggestion | None:
    """Return what is suggested for an entry, or was before it was accepted."""
    if entry.status != "renamed":
        return entry.suggestion
    found = before.get(entry.path)
    return found if found is not None and found.source == entry.source else None


def _row(entry: PlanEntry, suggestion: Suggestion | None, candidates: Sequence[Suggestion]) -> PlanRow:
    return {
        "path": entry.path,
        "source": entry.source,
        "status": entry.status,
        "shape": None if entry.shape is None else list(entry.shape),
        "dtype": entry.dtype,
        "source_shape": None if entry.source_shape is None else list(entry.source_shape),
        "source_dtype": entry.source_dtype,
        "tied_to": entry.tied_to,
        "suggestion": None if suggestion is None else _suggestion(suggestion),
        "candidates": [_suggestion(each) for each in candidates],
        "note": inert(entry.reason if entry.conversion is None else entry.conversion.reason, _MOST_TEXT),
    }


def _suggestion(each: Suggestion) -> SuggestionBody:
    return {"source": each.source, "reason": inert(each.reason, _MOST_TEXT), "confidence": each.confidence}
