"""Answers to `trace`, `forward`, `clear_trace`: a forward, call by call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nnwidgets.formatting import inert
from nnwidgets.introspect.tracing.trace import trace
from nnwidgets.introspect.tracing.trace_record import Trace
from nnwidgets.server.handlers.registry import handles
from nnwidgets.server.notebook.main_thread import on_main_thread
from nnwidgets.server.notebook.variables import tensors
from nnwidgets.server.rows.trace_marks import trace_body
from nnwidgets.server.session.session import Session
from nnwidgets.wire.dispatch import Job
from nnwidgets.wire.errors import RequestError
from nnwidgets.wire.schema.inspect import ClearReply, TraceReply


@handles("trace", over_ranks=True)
def answer_trace(session: Session, _body: Mapping[str, Any], _job: Job) -> TraceReply:
    """Give the last trace shown.

    Raises:
        RequestError: `model-gone`, `not-traced`.
    """
    return trace_body(last_trace(session))


def last_trace(session: Session) -> Trace:
    """Return the last trace shown.

    Raises:
        RequestError: `model-gone`, `not-traced`.
    """
    _ = session.module
    if session.trace is None:
        raise RequestError(
            "not-traced",
            "No trace was made in this view yet.",
            hint="Use nnw.trace(net, x) and explorer.show_trace(...), or %nn trace.",
        )
    return session.trace


@handles("forward", long=True)
def answer_forward(session: Session, body: Mapping[str, Any], _job: Job) -> TraceReply:
    """Run a forward as `trace` does, in the thread that cells run in, and show it in every view of the model.

    Raises:
        RequestError: `model-gone`, `cancelled`, `invalid-target`: no such tensors, or neither these nor a size.
        InvalidTargetError: The size is none, or the model is lazy.
    """
    module, size = session.module, body.get("size", "").strip()
    inputs = [tensor_variable(name) for name in body.get("inputs", [])]
    if not inputs and not size:
        raise RequestError(
            "invalid-target", "A forward needs an input.", hint="Choose a tensor, or write its size, such as 2,20."
        )
    found = on_main_thread(module, lambda: trace(module, *inputs, input_size=None if inputs else size))
    _show_in_all(session, found)
    return trace_body(found)


def _show_in_all(session: Session, trace: Trace | None) -> None:
    for each in session.all_of_model():
        each.show_trace(trace)


def tensor_variable(name: str) -> Any:
    """Return the tensor that a variable of the notebook holds.

    Raises:
        RequestError: `invalid-target`: it holds none.
    """
    found = tensors().get(name)
    if found is None:
        raise RequestError(
            "invalid-target", f"No variable {inert(name, 80)} holds a tensor.", hint="Open the menu again."
        )
    return found


@handles("clear_trace", over_ranks=True)
def answer_clear_trace(session: Session, _body: Mapping[str, Any], _job: Job) -> ClearReply:
    """Take the last trace off the rows, in every view of the model."""
    was_shown = session.trace is not None
    _show_in_all(session, None)
    return {"cleared": was_shown}
