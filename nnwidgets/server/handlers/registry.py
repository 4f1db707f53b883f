"""What the kernel answers to each kind of request, from one session."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import nullcontext, suppress
from functools import partial
from typing import Any

from nnwidgets.errors import NNWidgetsError
from nnwidgets.formatting import inert
from nnwidgets.introspect.safe_access.objects import type_name
from nnwidgets.introspect.statistics.threads import single_thread
from nnwidgets.server.handlers import changes, init, stats
from nnwidgets.server.handlers.checkpoints.browse import tell_folder, tell_header
from nnwidgets.server.handlers.checkpoints.diff import tell_diff
from nnwidgets.server.handlers.checkpoints.load_save import load_file, save_file
from nnwidgets.server.handlers.checkpoints.plan import tell_plan
from nnwidgets.server.handlers.findings_and_ties import finding_body, tie_body
from nnwidgets.server.handlers.initializers import offer
from nnwidgets.server.handlers.inspect import inspect
from nnwidgets.server.handlers.locate import locate
from nnwidgets.server.notebook.variables import Identities, modules, optimizers
from nnwidgets.server.page_files import part
from nnwidgets.server.rows.filter import chip_counts
from nnwidgets.server.rows.flatten import Flat, ViewState
from nnwidgets.server.rows.row_body import row, totals
from nnwidgets.server.rows.trace_marks import trace_body
from nnwidgets.server.session.session import Session, state_of
from nnwidgets.wire.codec import encode, number
from nnwidgets.wire.dispatch import Handler, Job
from nnwidgets.wire.errors import RequestError
from nnwidgets.wire.schema.envelope import ModelsReply, PartReply, Variable, VariablesReply
from nnwidgets.wire.schema.inspect import FindingsReply, InspectReply, TensorFacts, TiesReply, TraceReply, ValuesReply
from nnwidgets.wire.schema.tree import LocateReply, OpenReply, RowsReply

_MAX_ROWS = 500
_MAX_EXPANDED = 20_000
_FIRST_ROWS = 40
_MAX_FIRST = 48_000
_MAX_FINDINGS = 1_000
_QUICK_CELLS = 65_536
_QUICK_ELEMENTS = 4 * 2**20
_MAX_WINDOWS = 4
_TOLD_WHERE_ASKED = (NNWidgetsError, RequestError, RuntimeError)
_CHANGES = {"initializers", "preview", "init", "assign", "freeze", "unfreeze", "undo", "redo", "history", "code"}
_FILES = {"folder", "peek", "plan", "diff", "load", "save"}
_LONG = {"findings", "depth"} | _CHANGES | _FILES

_identities = Identities()


def handlers(session_of: Callable[[Mapping[str, Any]], Session]) -> dict[str, Handler]:
    """Return a handler for each kind of request.

    Args:
        session_of: Finds the session that a request's body speaks of.
    """
    on_session: dict[str, Callable[[Session, Mapping[str, Any], Job], Mapping[str, Any]]] = {
        "open": open_view,
        "rows": rows,
        "locate": _locate,
        "inspect": _inspect,
        "stats": stats.stats,
        "values": stats.values,
        "depth": stats.depth,
        "ties": ties,
        "findings": findings,
        "trace": trace,
        "initializers": offer,
        "preview": init.preview,
        "init": init.carry_out,
        "assign": changes.set_value,
        "freeze": changes.set_frozen,
        "unfreeze": changes.set_trainable,
        "undo": changes.take_back,
        "redo": changes.make_again,
        "history": changes.tell_history,
        "code": changes.tell_code,
        "folder": tell_folder,
        "peek": tell_header,
        "plan": tell_plan,
        "diff": tell_diff,
        "load": load_file,
        "save": save_file,
    }
    made: dict[str, Handler] = {kind: partial(_on, session_of, kind, answer) for kind, answer in on_session.items()}
    made["models"] = models
    made["variables"] = variables
    made["part"] = page_part
    return made


def is_long(kind: str, body: Mapping[str, Any]) -> bool:
    """Return whether a request may read much of a tensor or of the model, or waits for what is being written to it."""
    if kind == "values":
        return not {"rows", "columns"} <= body.keys() or body["rows"] * body["columns"] > _QUICK_CELLS
    return kind in _LONG or is_patient(kind, body)


def is_patient(kind: str, body: Mapping[str, Any]) -> bool:
    """Return whether a request is for what the page shows last: exact statistics, of which it has a sample already."""
    return kind == "stats" and bool(body.get("exact", True))


def _on(
    session_of: Callable[[Mapping[str, Any]], Session],
    kind: str,
    answer: Callable[[Session, Mapping[str, Any], Job], Mapping[str, Any]],
    body: Mapping[str, Any],
    job: Job,
) -> Mapping[str, Any]:
    with nullcontext() if is_long(kind, body) else single_thread():
        return answer(session_of(body), body, job)


def open_view(session: Session, _body: object = None, _job: object = None, *, n_rows: int = _FIRST_ROWS) -> OpenReply:
    """Answer `open`: totals, chips and the first rows."""
    flat = session.flat(ViewState())
    index = flat.index
    counts = chip_counts(index)
    return {
        "name": session.name or inert(index.nodes[0].class_name),
        "class_name": inert(index.nodes[0].class_name),
        "totals": totals(index),
        "chips": {
            "trainable": counts["trainable"],
            "frozen": counts["frozen"],
            "tied": counts["tied"],
            "findings": counts["findings"],
        },
        "rows": _window(session, flat, 0, n_rows),
    }


def first_view(session: Session) -> dict[str, Any]:
    """Return the reply to `open` as JSON, with as many rows as fit the first message, whatever the names are."""
    for n_rows in (_FIRST_ROWS, _FIRST_ROWS // 4, 1):
        reply, _ = encode(open_view(session, n_rows=n_rows))
        if len(json.dumps(reply)) <= _MAX_FIRST:
            return reply
    reply["rows"].update(rows=[], expanded=[], ruler=[])
    return reply


def rows(session: Session, body: Mapping[str, Any], _job: Job | None = None) -> RowsReply:
    """Answer `rows`: a window of the flattened tree."""
    return _window(session, session.flat(state_of(body)), body["start"], body["count"])


def _window(session: Session, flat: Flat, start: int, count: int) -> RowsReply:
    start = min(max(start, 0), len(flat.lines))
    name = session.name or inert(flat.index.nodes[0].class_name)
    window = flat.lines[start : start + min(max(count, 0), _MAX_ROWS)]
    made = [row(flat, line, name, session.trace_marks) for line in window]
    session.look_at([each["path"] for each in made])
    return {
        "generation": session.generation,
        "total": len(flat.lines),
        "start": start,
        "rows": made,
        "expanded": sorted(flat.expanded)[:_MAX_EXPANDED],
        "n_matches": flat.n_matches,
        "problem": flat.problem,
        "ruler": flat.ruler,
    }


def _locate(session: Session, body: Mapping[str, Any], _job: Job) -> LocateReply:
    return locate(session, body["path"], state_of(body))


def _inspect(session: Session, body: Mapping[str, Any], job: Job) -> InspectReply:
    """Answer `inspect`, with what else was asked for that can be had at once."""
    reply = inspect(session, body)
    facts = reply["tensor"]
    if facts is None or not _is_at_hand(facts):
        return reply
    if "bins" in body:
        # What goes wrong here is told where statistics are asked for by themselves.
        with suppress(*_TOLD_WHERE_ASKED):
            reply["stats"] = stats.stats(session, {**body, "exact": False}, job)
    if "windows" in body and number(facts["n_elements"]) <= _QUICK_ELEMENTS:
        asked = body["windows"][:_MAX_WINDOWS]
        reply["windows"] = [_values_or_none(session, body["path"], each, job) for each in asked]
    return reply


def _values_or_none(session: Session, path: str, asked: Mapping[str, Any], job: Job) -> ValuesReply | None:
    with suppress(*_TOLD_WHERE_ASKED):
        return stats.values(session, {**asked, "path": path}, job)
    return None


def _is_at_hand(facts: TensorFacts) -> bool:
    """Return whether a sample of a tensor's values can be had without waiting for a device."""
    return facts["readable"] is None and facts["device"] == "cpu" and facts["n_elements"] != 0


def ties(session: Session, _body: Mapping[str, Any], _job: Job) -> TiesReply:
    """Answer `ties`: every group."""
    index = session.index()
    return {"ties": [tie_body(session, index, group, None) for group in index.tree.ties]}


def findings(session: Session, _body: Mapping[str, Any], job: Job) -> FindingsReply:
    """Answer `findings`: checked anew, worst first."""
    found = session.check(lambda: job.cancelled)
    return {"findings": [finding_body(finding) for finding in found[:_MAX_FINDINGS]]}


def trace(session: Session, _body: Mapping[str, Any], _job: Job) -> TraceReply:
    """Answer `trace`: the last one shown.

    Raises:
        RequestError: `not-traced`.
    """
    _ = session.module
    if session.trace is None:
        raise RequestError(
            "not-traced",
            "No trace was made in this view yet.",
            hint="Use nnw.trace(net, x) and explorer.show_trace(...), or %nn trace.",
        )
    return trace_body(session.trace)


def models(_body: Mapping[str, Any], _job: Job) -> ModelsReply:
    """Answer `models`: the notebook's variables that hold a module."""
    return {
        "models": [{"name": name, "class_name": inert(type(module).__name__)} for name, module in modules().items()]
    }


def variables(_body: Mapping[str, Any], _job: Job) -> VariablesReply:
    """Answer `variables`: the notebook's modules and optimizers, by their types alone."""
    return {"modules": _told(modules()), "optimizers": _told(optimizers())}


def _told(held: Mapping[str, object]) -> list[Variable]:
    return [
        {"name": name, "class_name": type_name(type(value)), "identity": _identities.of(value)}
        for name, value in held.items()
    ]


def page_part(body: Mapping[str, Any], _job: Job) -> PartReply:
    """Answer `part`: what the page lacks to open a panel, or to write in another language.

    Raises:
        NNWidgetsError: The page was never built.
    """
    code, style = part(body["name"])
    return {"code": code, "style": style}
