"""Answers to `compare_inits`: candidates for a target, tried on stand-ins with data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nnwidgets.edit import InitCandidate, SignalBand, compare_inits
from nnwidgets.edit.code import literal
from nnwidgets.edit.init_comparison.candidates import AS_IT_IS
from nnwidgets.edit.operations.initializers import get_initializer
from nnwidgets.errors import InitializerError
from nnwidgets.formatting import inert
from nnwidgets.introspect.statistics.exact_stats import CancelledError
from nnwidgets.server.handlers.edit.init import arguments_of, seed_of
from nnwidgets.server.handlers.edit.initializers import refusal
from nnwidgets.server.handlers.edit.target import ResolvedTarget, resolve_target
from nnwidgets.server.handlers.registry import handles
from nnwidgets.server.handlers.signal.run_activations import inputs_of
from nnwidgets.server.notebook.ipykernel import on_main_thread
from nnwidgets.server.rows.signal_marks import MOST_POINTS, rounded
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
        if job.cancelled:
            raise CancelledError("It was cancelled; the model is as before.")

    found = on_main_thread(
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
        lambda: job.cancelled,
    )
    every = -(-len(found.points) // MOST_POINTS) or 1
    return {
        "points": [
            {"path": point.path, "call_index": point.call_index, "class_name": inert(point.class_name, 60)}
            for point in found.points[::every]
        ],
        "n_calls": len(found.points),
        "candidates": [_compared(each, candidates[each.name][1], every) for each in found.candidates],
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


def _compared(found: InitCandidate, given: Mapping[str, Any], every: int) -> Compared:
    return {
        "name": inert(found.name, 200),
        "how": given["how"],
        "kwargs": dict(given.get("kwargs", {})),
        "verdict": inert(found.verdict, _MOST_TEXT),
        "forward": [_band(each) for each in found.forward[::every]],
        "backward": [_band(each) for each in found.backward[::every]],
        "bad": [
            at
            for at, pair in enumerate(zip(found.forward[::every], found.backward[::every], strict=True))
            if any(band is not None and band.n_nonfinite for band in pair)
        ],
        "error": None if found.error is None else inert(found.error, _MOST_TEXT),
    }


def _band(found: SignalBand | None) -> list[Number] | None:
    return None if found is None else [rounded(found.mean), rounded(found.low), rounded(found.high)]
