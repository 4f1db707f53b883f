"""Answers to `compare_inits`: candidates for a target, tried on stand-ins with data."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from nnwidgets.edit import InitCandidate, SignalBand, compare_inits
from nnwidgets.edit.code import literal
from nnwidgets.edit.init_comparison.candidates import AS_IT_IS
from nnwidgets.edit.operations.initializers import get_initializer
from nnwidgets.errors import InitializerError
from nnwidgets.formatting import inert
from nnwidgets.server.handlers.edit.init import arguments_of, seed_of
from nnwidgets.server.handlers.edit.initializers import refusal
from nnwidgets.server.handlers.edit.target import ResolvedTarget, resolve_target
from nnwidgets.server.handlers.registry import handles
from nnwidgets.server.handlers.signal.run_activations import inputs_of, raise_where_cancelled
from nnwidgets.server.notebook.main_thread import on_main_thread
from nnwidgets.server.rows.signal_marks import in_groups, rounded
from nnwidgets.server.session.session import Session
from nnwidgets.wire.dispatch import Job
from nnwidgets.wire.schema.envelope import Number
from nnwidgets.wire.schema.signal import Compared, CompareInitsReply

_SEEDS = 3
_SEED_END = 2**64
_MOST_TEXT = 1_000


@handles("compare_inits", long=True)
def answer_compare_inits(session: Session, body: Mapping[str, Any], job: Job) -> CompareInitsReply:
    """Run each candidate for a target as `compare_inits` does, in the thread that cells run in.

    Raises:
        RequestError: `model-gone`, `invalid-target`: no such tensors among the variables, or no inputs of a last run.
        InvalidTargetError: The target means no tensor, or the size is none.
        InitializerError: A candidate is unknown, or can't fill the target.
        CancelledError: The request was cancelled; the model is as before.
    """
    module, inputs, target = session.module, inputs_of(session, body), resolve_target(session, body)
    candidates = _candidates(body["candidates"], target, body["path"])
    first = seed_of(body.get("seed"), body["path"]) or 0
    seeds = [(first + at) % _SEED_END for at in range(_SEEDS)]

    def tell(done: int, total: int) -> None:
        job.progress(done, total)
        raise_where_cancelled(job)

    found = on_main_thread(
        module,
        lambda: compare_inits(
            module,
            *inputs.args,
            inits={name: init for name, (init, _) in candidates.items()},
            target=target.paths,
            seeds=seeds,
            input_size=inputs.input_size,
            progress=tell,
            **inputs.kwargs,
        ),
    )
    groups = in_groups(range(len(found.points)))
    shown = [*(group[0] for group in groups[:-1]), *(group[-1] for group in groups[-1:])]
    return {
        "points": [
            {"path": point.path, "call_index": point.call_index, "class_name": inert(point.class_name, 60)}
            for point in map(found.points.__getitem__, shown)
        ],
        "n_calls": len(found.points),
        "candidates": [_compared(each, candidates[each.name][1], groups, shown) for each in found.candidates],
        "verdict": inert(found.verdict, _MOST_TEXT),
        "seed": first,
        "n_seeds": _SEEDS,
    }


def _candidates(
    given: Sequence[Mapping[str, Any]], target: ResolvedTarget, path: str
) -> dict[str, tuple[Any, Mapping[str, Any]]]:
    """By their names, what `compare_inits` takes and what the page sent."""
    made: dict[str, tuple[Any, Mapping[str, Any]]] = {}
    for each in given:
        if not each["how"]:
            made[AS_IT_IS] = (None, each)
            continue
        initializer = get_initializer(each["how"], path)
        refused = refusal(initializer, target)
        if refused is not None:
            raise InitializerError(f"{initializer.name} can't fill this. {refused}", path=path)
        kwargs = arguments_of(initializer, each.get("kwargs", {}), path)
        how = initializer.function if initializer.kind == "user" else initializer.name
        made[" ".join([initializer.name, *(f"{name}={literal(value)}" for name, value in kwargs.items())])] = (
            (how, kwargs),
            each,
        )
    return made


def _compared(
    found: InitCandidate, given: Mapping[str, Any], groups: Sequence[Sequence[int]], shown: Sequence[int]
) -> Compared:
    ways = (found.forward, found.backward)
    forward, backward = ([_band(way, *each) for each in zip(groups, shown, strict=True)] for way in ways)
    return {
        "name": inert(found.name, 200),
        "how": given["how"],
        "kwargs": dict(given.get("kwargs", {})),
        "verdict": inert(found.verdict, _MOST_TEXT),
        "forward": forward,
        "backward": backward,
        "bad": [
            at
            for at, group in enumerate(groups)
            if any(band is not None and band.n_nonfinite for way in ways for band in way[group[0] : group[-1] + 1])
        ],
        "error": None if found.error is None else inert(found.error, _MOST_TEXT),
    }


def _band(way: Sequence[SignalBand | None], group: Sequence[int], shown: int) -> list[Number] | None:
    met = [band for each in group if (band := way[each]) is not None]
    if not met:
        return None
    ends = [end for band in met for end in (band.low, band.high) if math.isfinite(end)]
    own = way[shown] or met[0]
    return [rounded(own.mean), rounded(min(ends, default=math.nan)), rounded(max(ends, default=math.nan))]
