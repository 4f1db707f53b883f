"""Answers to `preview` and `init`: what filling a target anew would do, and doing it."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from functools import partial
from typing import Any

from torch.optim import Optimizer

from nnwidgets.edit import Change, Initializer, init
from nnwidgets.edit.operations.initializers import get_initializer
from nnwidgets.edit.optimizer_state import states_of
from nnwidgets.edit.writable import check_writable
from nnwidgets.errors import AdvisedText, InitializerError, NNWidgetsError
from nnwidgets.formatting import inert, shape_text
from nnwidgets.introspect import stats
from nnwidgets.introspect.records import TensorEntry, TensorStats
from nnwidgets.introspect.safe_access.objects import type_name
from nnwidgets.introspect.statistics.exact_stats import version
from nnwidgets.introspect.statistics.sampling import sampled_stats
from nnwidgets.server.handlers.edit.initializers import refusal
from nnwidgets.server.handlers.edit.overlay import overlay
from nnwidgets.server.handlers.edit.target import ResolvedTarget, resolve_target
from nnwidgets.server.handlers.findings_and_ties import lookup_in, relation
from nnwidgets.server.handlers.registry import handles
from nnwidgets.server.handlers.stats import figures
from nnwidgets.server.notebook.variables import optimizer_name
from nnwidgets.server.session.session import Session
from nnwidgets.wire.codec import number
from nnwidgets.wire.dispatch import Job
from nnwidgets.wire.schema.changes import ChangedTensor, InitReply, StaleState

_FINE_BINS = 1_024
_EXACT_ELEMENTS = 4_000_000
_MOST_SHOWN = 16
_MOST_LISTED = 200
MOST_TEXT = 2_000


@handles("preview", long=True)
def answer_preview(session: Session, body: Mapping[str, Any], job: Job) -> InitReply:
    """Give the very numbers that `init` gives for the same body, with nothing written."""
    return _fill(session, body, job, is_preview=True)


@handles("init", long=True)
def answer_init(session: Session, body: Mapping[str, Any], job: Job) -> InitReply:
    """Fill the target, and tell every view of the model."""
    return _fill(session, body, job, is_preview=False)


def _fill(session: Session, body: Mapping[str, Any], job: Job, *, is_preview: bool) -> InitReply:
    target = resolve_target(session, body)
    initializer = get_initializer(body["how"], body["path"])
    refused = refusal(initializer, target)
    if refused is not None:
        raise InitializerError(f"{initializer.name} can't fill this. {refused}", path=body["path"])
    kwargs = arguments_of(initializer, body.get("kwargs", {}), body["path"])
    before = _before(session, target, is_preview=is_preview)
    optimizers = session.optimizers()
    clears = body.get("clear_state", False)
    job.check()
    how = initializer.function if initializer.kind == "user" else initializer.name
    seed = seed_of(body.get("seed"), body["path"])
    change = init(
        session.module, target.paths, how,
        seed=seed, optimizer=optimizers, preview=is_preview, clear_state=clears, **kwargs,
    )  # fmt: skip
    if not is_preview:
        job.after_reply(partial(session.report_change, structure=False))
    about_state, stale = _stale(target, change, optimizers)
    return {
        "label": inert(change.label, MOST_TEXT),
        "seed": change.seed,
        "n_tensors": len(change.paths),
        "n_elements": change.n_elements,
        "tensors": tensors_of(session, target.scope.by_path, change, before),
        "warnings": [inert(each, MOST_TEXT) for each in change.warnings if each not in about_state],
        "stale": stale,
        "code": change.to_code(session.code_name, optimizer_name(optimizers)),
    }


def seed_of(given: Any, path: str) -> int | None:
    """The seed that a body gives, None where it gives none.

    Raises:
        InitializerError: It is no whole number.
    """
    if given is None:
        return None
    try:
        seed = number(given)
    except ValueError:
        seed = 0.5
    if not isinstance(seed, int):
        raise InitializerError(f"The seed is {given!r}, expected a whole number.", path=path, hint="Such as 7.")
    return seed


def arguments_of(initializer: Initializer, given: Mapping[str, Any], path: str) -> dict[str, Any]:
    """Return the parameters as Python values: numbers that travelled as text, and text that is a literal."""
    types = {each.name: each.type for each in initializer.parameters}
    made = {}
    for name, value in given.items():
        kind = types.get(name, "any")
        made[name] = value
        try:
            if isinstance(value, str) and kind in ("float", "int"):
                made[name] = number(value)
            elif isinstance(value, str) and kind == "any":
                made[name] = ast.literal_eval(value)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            made[name] = value
    return initializer.check(made, path)


def _before(session: Session, target: ResolvedTarget, *, is_preview: bool) -> dict[str, TensorStats]:
    """Statistics of the first tensors as they are, with bins fine enough to be joined to any others.

    A preview reads them; the change that follows takes what its preview read where the version counters agree.
    """
    made = {}
    for place in target.places[:_MOST_SHOWN]:
        try:
            [data] = check_writable([place], parts=True)
        except NNWidgetsError:
            break  # `init` says why
        key = (place.path, version(place.tensor))
        known = None if is_preview else session.preview_stats.get(key)
        made[place.path] = _fine(data) if known is None else known
        if is_preview:
            session.preview_stats[key] = made[place.path]
    for key in list(session.preview_stats)[:-_MOST_SHOWN]:
        del session.preview_stats[key]
    return made


def _fine(data: Any) -> TensorStats:
    if data.numel() <= _EXACT_ELEMENTS:
        return stats(data, bins=_FINE_BINS)
    return sampled_stats(data, bins=_FINE_BINS)


def tensors_of(
    session: Session, by_path: Mapping[str, TensorEntry], change: Change, before: Mapping[str, TensorStats]
) -> list[ChangedTensor]:
    """Return the first tensors of a change, with their figures before and after it."""
    index, lookup = session.index(), lookup_in(session)
    tied = {tie.path: tie for tie in change.ties}
    after: Mapping[str, TensorStats] = change.after
    if len(change.paths) > _MOST_SHOWN and not change.is_preview and lookup is not None:
        after = {path: _fine(lookup.get(path)) for path in change.paths[:_MOST_SHOWN]}
    made: list[ChangedTensor] = []
    for path in sorted(change.paths, key=lambda path: path in tied)[:_MOST_LISTED]:
        entry, tie = by_path.get(path), tied.get(path)
        place = index.resolve(path)
        base = tie.of if tie is not None else path
        # The very values of the one it is tied to, in another order perhaps; an overlap has others too.
        source = path if tie is None or tie.relation == "overlap" else tie.of
        old, new = before.get(source), after.get(source)
        n_total = entry.n_elements if entry is not None else 0
        made.append(
            {
                "path": path,
                "shape": shape_text(entry.shape) if entry is not None else "?",
                "tie": index.tie(place.entry) if place is not None and place.entry is not None else None,
                "how": "target" if tie is None else relation(lookup, path, base, tie.relation),
                "before": figures(old, n_total) if old is not None else None,
                "after": figures(new, n_total) if new is not None and old is not None else None,
                "overlay": overlay(old, new) if old is not None and new is not None else None,
            }
        )
    return made


def _stale(target: ResolvedTarget, change: Change, optimizers: list[Optimizer]) -> tuple[list[str], list[StaleState]]:
    """Return the warnings of a change that are about optimizers, and the same for the page."""
    found: list[str] = []
    made: list[StaleState] = []
    for optimizer in optimizers:
        name = type_name(type(optimizer))
        starts = (f"{name} keeps moments", f"{name}'s state is")
        about = next((each for each in change.warnings if each.startswith(starts) and each not in found), None)
        if about is not None:
            live = {id(tensor): tensor for tensor in map(target.scope.tensor, change.paths)}
            n_tensors = len(states_of([optimizer], live.values()))
            # The page has a box to tick where a text advises.
            message = about.before.rstrip() if isinstance(about, AdvisedText) else about
            found.append(about)
            made.append({"optimizer": name, "n_tensors": n_tensors or len(live), "message": inert(message, MOST_TEXT)})
    return found, made
