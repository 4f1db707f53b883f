"""Answers to `signal` and `signal_point`: the last run of `activations` within a module, and one call of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nnwidgets.formatting import inert
from nnwidgets.introspect.records import TensorStats
from nnwidgets.server.handlers.findings_and_ties import finding_body
from nnwidgets.server.handlers.registry import handles
from nnwidgets.server.handlers.stats import figures
from nnwidgets.server.rows.signal_marks import is_within
from nnwidgets.server.session.session import Session
from nnwidgets.wire.dispatch import Job
from nnwidgets.wire.errors import RequestError
from nnwidgets.wire.schema.inspect import StatsReply
from nnwidgets.wire.schema.signal import SignalPointReply, SignalReply

_MOST_FINDINGS = 50
_MOST_TEXT = 2_000


@handles("signal", long=True, over_ranks=True)
def answer_signal(session: Session, body: Mapping[str, Any], _job: Job) -> SignalReply:
    """Give the points of the last run within a module; none where there was no run.

    Raises:
        PathNotFoundError: Nothing is at the path.
    """
    session.index().place(body["path"])
    return signal_body(session, body["path"])


def signal_body(session: Session, path: str) -> SignalReply:
    """Return the last run for the page."""
    marks = session.signal
    found, (points, n_calls) = marks.found, marks.points(path)
    about = [each for each in found.findings if is_within(each.path, path)] if found is not None else []
    return {
        "run": marks.number,
        "points": points,
        "n_calls": n_calls,
        "n_all": 0 if found is None else len(found.calls),
        "has_gradients": marks.has_gradients,
        "loss": None if found is None else found.loss,
        "failed_at": None if found is None else found.failed_at,
        "failed_in": None if found is None else found.failed_in,  # type: ignore[typeddict-item] # one of the three
        "error": None if found is None or found.error is None else inert(found.error, _MOST_TEXT),
        "findings": [finding_body(each) for each in about[:_MOST_FINDINGS]],
        "n_findings": len(about),
    }


@handles("signal_point", over_ranks=True)
def answer_signal_point(session: Session, body: Mapping[str, Any], _job: Job) -> SignalPointReply:
    """Give the histograms of one call.

    Raises:
        RequestError: `invalid-target`: there was another run since, or no such call.
    """
    marks = session.signal
    if marks.found is None or marks.number != body["run"]:
        raise RequestError("invalid-target", "There is another run since.", hint="Choose the point again.")
    calls = marks.found.calls
    if not 0 <= body["at"] < len(calls) or not calls[body["at"]].outputs:
        raise RequestError("invalid-target", f"The run has no output of a call {body['at']}.")
    call = calls[body["at"]]
    out = call.outputs[0]
    return {
        "path": call.path,
        "n_outputs": len(call.outputs),
        "values": _stats(out.values),
        "gradient": None if out.gradient is None else _stats(out.gradient),
    }


def _stats(found: TensorStats) -> StatsReply:
    return {
        **figures(found, found.n),  # type: ignore[typeddict-item] # no bulk is among the figures
        "hist_counts": list(found.hist_counts),
        "hist_edges": list(found.hist_edges),
        "version": None,
    }
