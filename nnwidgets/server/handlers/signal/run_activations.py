"""Answers to `activations` and `last_inputs`: a run through the layers, from the page."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

from nnwidgets.introspect.last_inputs import LastInputs, last_inputs
from nnwidgets.introspect.signal.activations import watched_activations
from nnwidgets.introspect.signal.losses import NOISE
from nnwidgets.introspect.statistics.exact_stats import CancelledError
from nnwidgets.server.handlers.registry import handles
from nnwidgets.server.handlers.signal.signal_points import signal_body
from nnwidgets.server.handlers.tracing.forward import tensor_variable
from nnwidgets.server.notebook.main_thread import on_main_thread
from nnwidgets.server.session.session import Session
from nnwidgets.wire.dispatch import Job
from nnwidgets.wire.errors import RequestError
from nnwidgets.wire.schema.signal import LastInputsReply, SignalReply


@handles("activations", long=True)
def answer_activations(session: Session, body: Mapping[str, Any], job: Job) -> SignalReply:
    """Run as `activations` does, in the thread that cells run in, and show it in every view of the model.

    Raises:
        RequestError: `model-gone`, `invalid-target`: no such tensors, or none of these, nor a size, nor a last run.
        InvalidTargetError: The size is none, or the model is lazy.
        CancelledError: The request was cancelled; the model is as before.
    """
    module, inputs, loss = session.module, inputs_of(session, body), _loss(body)
    known = session.signal.found
    n_calls = len(known.calls) if known is not None else sum(node.kind == "module" for node in session.index().nodes)
    total = n_calls * (1 if loss is None else 2)

    steps = itertools.count(1)

    def watch() -> None:
        job.progress(min(next(steps), total), total)
        raise_where_cancelled(job)

    found = on_main_thread(
        module,
        lambda: watched_activations(
            module, inputs.args, inputs.kwargs, loss=loss, input_size=inputs.input_size, watch=watch
        ),
    )
    for each in session.all_of_model():
        each.show_activations(found)
    return signal_body(session, "")


@handles("last_inputs")
def answer_last_inputs(session: Session, _body: Mapping[str, Any], _job: Job) -> LastInputsReply:
    """Say what the last forward took, where that is still there."""
    found = last_inputs(session.module)
    return {"inputs": None if found is None else found.words}


def inputs_of(session: Session, body: Mapping[str, Any]) -> LastInputs:
    """What a body with inputs means: tensors of variables, else inputs of a size, else those of the last run.

    Raises:
        RequestError: `invalid-target`: there are none of these.
    """
    named, size = tuple(tensor_variable(name) for name in body.get("inputs", [])), body.get("size", "").strip()
    if named or size:
        return LastInputs(named, {}, None if named else size)
    found = last_inputs(session.module)
    if found is None:
        raise RequestError(
            "invalid-target",
            "No inputs of an earlier run are still there.",
            hint="Choose a tensor, or write a size, such as 2,20.",
        )
    return found


def raise_where_cancelled(job: Job) -> None:
    """End work on stand-ins or a look at the model, which leave it as it was.

    Raises:
        CancelledError: The request was cancelled.
    """
    if job.cancelled:
        raise CancelledError("It was cancelled; the model is as before.")


def _loss(body: Mapping[str, Any]) -> Any:
    if body["loss"] == "target":
        return tensor_variable(body.get("target", ""))
    return NOISE if body["loss"] == "noise" else None
