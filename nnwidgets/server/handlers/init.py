"""Answers to `preview` and `init`: what filling a target anew would do, and doing it."""

from __future__ import annotations

import ast
import math
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import accumulate, pairwise
from typing import Any

from torch.optim import Optimizer

from nnwidgets.edit import Change, Initializer, init
from nnwidgets.edit.operations.initializers import get_initializer
from nnwidgets.edit.optimizer_state import states_of
from nnwidgets.edit.targets import check_writable
from nnwidgets.errors import InitializerError, NNWidgetsError
from nnwidgets.formatting import and_more, inert, shape_text
from nnwidgets.introspect import stats
from nnwidgets.introspect.records import TensorStats
from nnwidgets.introspect.safe_access.lookup import get
from nnwidgets.introspect.safe_access.objects import type_name
from nnwidgets.introspect.statistics.sampling import sampled_stats
from nnwidgets.introspect.statistics.stats import version
from nnwidgets.server.handlers.findings_and_ties import relation
from nnwidgets.server.handlers.initializers import refusal
from nnwidgets.server.handlers.target import ResolvedTarget, resolve_target
from nnwidgets.server.notebook.variables import name_of, notebook
from nnwidgets.server.session.session import Session
from nnwidgets.wire.codec import number
from nnwidgets.wire.dispatch import Job
from nnwidgets.wire.errors import RequestError
from nnwidgets.wire.schema.changes import ChangedTensor, Figures, InitReply, Overlay, StaleState

_FINE_BINS = 1_024
_EXACT_ELEMENTS = 4_000_000
_MOST_SHOWN = 16
_MOST_LISTED = 200
_MOST_TEXT = 2_000
_ADVICE = " clear_state=True clears them."


def preview(session: Session, body: Mapping[str, Any], job: Job) -> InitReply:
    """Answer `preview`: the very numbers that `init` gives for the same body, with nothing written."""
    return _answer(session, body, job, is_preview=True)


def carry_out(session: Session, body: Mapping[str, Any], job: Job) -> InitReply:
    """Answer `init`, and tell every view of the model."""
    return _answer(session, body, job, is_preview=False)


def optimizer_name(optimizers: list[Optimizer]) -> str:
    """Return what pasted code calls the optimizer."""
    return (optimizers and name_of(optimizers[0], notebook())) or "optimizer"


def _answer(session: Session, body: Mapping[str, Any], job: Job, *, is_preview: bool) -> InitReply:
    aim = resolve_target(session, body)
    initializer = get_initializer(body["how"], body["path"])
    refused = refusal(initializer, aim)
    if refused is not None:
        raise InitializerError(f"{initializer.name} is refused here. {refused}", path=body["path"])
    kwargs = _arguments(initializer, body.get("kwargs", {}), body["path"])
    before = _before(session, aim, is_preview=is_preview)
    optimizers = session.optimizers()
    clears = body.get("clear_state", False)
    if job.cancelled:
        raise RequestError("cancelled", "The request was cancelled.")
    how = initializer.function if initializer.kind == "user" else initializer.name
    seed = _seed(body.get("seed"), body["path"])
    change = init(
        session.module, aim.target, how,
        seed=seed, optimizer=optimizers, preview=is_preview, clear_state=clears, **kwargs,
    )  # fmt: skip
    if not is_preview:
        job.after_reply(partial(session.was_changed, structure=False))
    told, stale = _stale(aim, change, optimizers)
    return {
        "label": inert(change.label, _MOST_TEXT),
        "seed": change.seed,
        "n_tensors": len(change.paths),
        "n_elements": change.n_elements,
        "tensors": _tensors(session, aim, change, before),
        "warnings": [
            inert(each, _MOST_TEXT) for each in (*_left(aim, initializer, change), *change.warnings) if each not in told
        ],
        "stale": stale,
        "code": change.to_code(session.code_name, optimizer_name(optimizers)),
    }


def _left(aim: ResolvedTarget, initializer: Initializer, change: Change) -> list[str]:
    """Say what a reset leaves as it is, because the modules that hold it have none of their own."""
    if initializer.kind != "reset" or not change.is_preview:
        return []
    changing = set(change.paths)
    left = [place.path for place in aim.places if place.path not in changing]
    if not left:
        return []
    more = and_more(len(left) - 1)
    return [f"{left[0]}{more}: left as they are, since their modules have no reset_parameters."]


def _seed(given: Any, path: str) -> int | None:
    if given is None:
        return None
    try:
        seed = number(given)
    except ValueError:
        seed = 0.5
    if not isinstance(seed, int):
        raise InitializerError(f"The seed is {given!r}, expected a whole number.", path=path, hint="Such as 7.")
    return seed


def _arguments(initializer: Initializer, given: Mapping[str, Any], path: str) -> dict[str, Any]:
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
    return initializer.checked(made, path)


def _before(session: Session, aim: ResolvedTarget, *, is_preview: bool) -> dict[str, TensorStats]:
    """Statistics of the first tensors as they are, with bins fine enough to be joined to any others.

    A preview reads them; the change that follows takes what its preview read where the version counters agree.
    """
    made = {}
    for place in aim.places[:_MOST_SHOWN]:
        try:
            data = check_writable(place)
        except NNWidgetsError:
            break  # `init` says why
        key = (place.path, version(place.tensor))
        known = None if is_preview else session.previewed.get(key)
        made[place.path] = _fine(data) if known is None else known
        if is_preview:
            session.previewed[key] = made[place.path]
    for key in list(session.previewed)[:-_MOST_SHOWN]:
        del session.previewed[key]
    return made


def _fine(data: Any) -> TensorStats:
    if data.numel() <= _EXACT_ELEMENTS:
        return stats(data, bins=_FINE_BINS)
    return sampled_stats(data, bins=_FINE_BINS)


def _tensors(
    session: Session, aim: ResolvedTarget, change: Change, before: Mapping[str, TensorStats]
) -> list[ChangedTensor]:
    index, tied = session.index(), {tie.path: tie for tie in change.ties}
    is_few = len(change.paths) <= _MOST_SHOWN
    after = change.after if is_few or change.is_preview else _after(session, change.paths[:_MOST_SHOWN])
    made: list[ChangedTensor] = []
    for path in sorted(change.paths, key=lambda path: path in tied)[:_MOST_LISTED]:
        entry, tie = aim.model.by_path.get(path), tied.get(path)
        known = index.entry_at(path)
        base = tie.of if tie is not None else path
        # The very values of the one it is tied to, in another order perhaps; an overlap has others too.
        source = path if tie is None or tie.relation == "overlap" else tie.of
        old, new = before.get(source), after.get(source)
        n_total = entry.n_elements if entry is not None else 0
        made.append(
            {
                "path": path,
                "shape": shape_text(entry.shape) if entry is not None else "?",
                "tie": index.tie(known) if known is not None else None,
                "how": "target" if tie is None else relation(session, path, base, tie.relation),
                "before": _figures(old, n_total) if old is not None else None,
                "after": _figures(new, n_total) if new is not None and old is not None else None,
                "overlay": overlay(old, new) if old is not None and new is not None else None,
            }
        )
    return made


def _after(session: Session, paths: tuple[str, ...]) -> dict[str, TensorStats]:
    return {path: _fine(get(session.module, path)) for path in paths}


def _figures(found: TensorStats, n_total: int) -> Figures:
    return {
        "n": found.n,
        "n_total": n_total,
        "mean": found.mean,
        "std": found.std,
        "min": found.min,
        "max": found.max,
        "norm": found.norm,
        "n_zero": found.n_zero,
        "n_nan": found.n_nan,
        "n_inf": found.n_inf,
        "is_exact": found.is_exact,
    }


def _stale(aim: ResolvedTarget, change: Change, optimizers: list[Optimizer]) -> tuple[list[str], list[StaleState]]:
    """Return the warnings of a change that are about optimizers, and the same for the page."""
    told: list[str] = []
    made: list[StaleState] = []
    for optimizer in optimizers:
        name = type_name(type(optimizer))
        starts = (f"{name} keeps moments", f"{name}'s state is")
        about = next((each for each in change.warnings if each.startswith(starts) and each not in told), None)
        if about is not None:
            held = {id(tensor): tensor for tensor in map(aim.model.tensor, change.paths)}
            n_tensors = len(states_of([optimizer], held.values()))
            told.append(about)
            made.append(
                {
                    "optimizer": name,
                    "n_tensors": n_tensors or len(held),
                    "message": inert(about.removesuffix(_ADVICE), _MOST_TEXT),
                }
            )
    return told, made


_BINS = 64


_TAIL = 0.0025


_MARGIN = 0.08


def overlay(before: TensorStats, after: TensorStats) -> Overlay | None:
    """Lay two distributions over common bins, a power of two wide; thin tails of both are cut. None without numbers.

    Example:
        >>> import torch
        >>> from nnwidgets.introspect import stats
        >>> made = overlay(stats(torch.zeros(4)), stats(torch.tensor([-1.0, 1.0])))
        >>> sum(made["before"]), sum(made["after"]), made["edges"][0] <= -1, made["edges"][-1] > 1
        (1.0, 1.0, True, True)
    """
    ends = [_bulk(each) for each in (before, after) if sum(each.hist_counts)]
    low, high = min((low for low, _ in ends), default=0.0), max((high for _, high in ends), default=0.0)
    margin = (high - low) * _MARGIN or max(abs(low), 1.0) / _BINS
    width = 2.0 ** math.ceil(math.log2((high - low + 2 * margin) / _BINS))
    first, last = math.floor((low - margin) / width), math.ceil((high + margin) / width)
    if not ends or not math.isfinite(width) or not 0 < last - first <= 2 * _BINS:
        return None
    edges = [k * width for k in range(first, last + 1)]
    return {"edges": list(edges), "before": _shares(before, edges), "after": _shares(after, edges)}


def _bulk(found: TensorStats) -> tuple[float, float]:
    """Where all but the thin tails lie."""
    if found.min == found.max:
        return found.min, found.max
    counts, edges = found.hist_counts, found.hist_edges
    below = list(accumulate(counts))
    allowed = below[-1] * _TAIL
    first = next(k for k, n in enumerate(below) if n > allowed)
    last = next(k for k, n in enumerate(below) if n >= below[-1] - allowed)
    return max(edges[first], found.min), min(edges[last + 1], found.max)


def _shares(found: TensorStats, edges: Sequence[float]) -> list[float]:
    """How much of the values each bin has; a bin that is cut gives of its own in proportion."""
    n = sum(found.hist_counts)
    if not n:
        return [0.0] * (len(edges) - 1)
    if found.min == found.max:
        return [float(low <= found.min < high) for low, high in pairwise(edges)]
    up_to = [0, *accumulate(found.hist_counts)]
    own, at, made = found.hist_edges, 0, []
    for edge in edges:
        while at + 1 < len(own) and own[at + 1] <= edge:
            at += 1
        if edge <= own[0]:
            made.append(0.0)
        elif at + 1 >= len(own):
            made.append(float(n))
        else:
            made.append(up_to[at] + found.hist_counts[at] * (edge - own[at]) / (own[at + 1] - own[at]))
    return [(high - low) / n for low, high in pairwise(made)]
