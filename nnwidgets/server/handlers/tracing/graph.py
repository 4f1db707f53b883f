"""Answer to `graph`: what flows through the last forward, as much of it as a page can lay out and show."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from nnwidgets.formatting import inert, shape_text
from nnwidgets.introspect.data_flow.flow_graph import FlowEdge
from nnwidgets.introspect.data_flow.flow_view import FlowView
from nnwidgets.introspect.data_flow.fold import ShownNodes
from nnwidgets.introspect.data_flow.search import Found
from nnwidgets.introspect.data_flow.written import node_name
from nnwidgets.introspect.records import TraceCall
from nnwidgets.server.handlers.registry import handles
from nnwidgets.server.handlers.tracing.forward import last_trace
from nnwidgets.server.rows.signal_marks import SignalMarks
from nnwidgets.server.rows.tree_index import TreeIndex
from nnwidgets.server.session.session import Session
from nnwidgets.wire.dispatch import Job
from nnwidgets.wire.schema.graph import GraphEdge, GraphFound, GraphNode, GraphReply

_MOST_NODES = 400
_MOST_BYTES = 64_000
_WIDEST = (100, 40, 15, 6)
"""Nodes directly in a box: fewer where they take too many bytes, with what flows between them."""
_MOST_OPENED = 400
_LONGEST_NAME = 60
_LONGEST_PATH = 300
_MOST_SUMMED = 1_000


@handles("graph", long=True)
def answer_graph(session: Session, body: Mapping[str, Any], job: Job) -> GraphReply:
    """Give the graph of the last trace, with these boxes open.

    Raises:
        RequestError: `model-gone`, `not-traced`, `cancelled`.
    """
    trace, view = last_trace(session), session.trace_marks.flow
    number = view.place_of(body["show"]) if "show" in body else None
    found = view.search.find(body["find"]) if "find" in body else Found([], 0)
    told: GraphFound = {"n": len(found.numbers), "n_all": found.n_all}
    if "nth" in body and found.numbers:
        told["nth"] = body["nth"] % len(found.numbers)
        number = found.numbers[told["nth"]]
    error = inert(trace.error, 2_000) if trace.error is not None else None
    widths = [widest for widest in _WIDEST if widest <= body.get("widest", _WIDEST[0])] or _WIDEST[-1:]
    for shown, n_closed, widest in _smaller_and_smaller(view, body.get("opened"), number, widths, job):
        graph = shown.graph()
        reply: GraphReply = {
            "nodes": list(_nodes(session, view, shown, Counter(map(shown.shown_as.__getitem__, found.numbers)))),
            "edges": [_edge(edge) for edge in graph.edges],
            "opened": shown.opened,
            "n_closed": n_closed,
            "widest": widest,
            "shown": None if number is None or shown.shown_as[number] < 0 else shown.shown_as[number],
            "failed_at": trace.failed_at,
            "error": error,
        }
        if "find" in body:
            reply["found"] = told
        if len(json.dumps(reply)) <= _MOST_BYTES:
            break
    if body.get("mermaid"):
        reply["mermaid"] = graph.to_mermaid()
    return reply


def _smaller_and_smaller(
    view: FlowView, opened: Sequence[str] | None, number: int | None, widths: Sequence[int], job: Job
) -> Iterator[tuple[ShownNodes, int, int]]:
    """What is shown where these boxes are open, then with fewer of them, then with fewer nodes in each.

    Beside it, how many of those asked for aren't open, and the most nodes in a box. What has too many is left out.
    """
    for widest in widths:
        kept = list(opened)[-_MOST_OPENED:] if opened is not None else view.show_few(widest).opened
        if number is not None:
            kept += view.boxes_around(number, kept, widest)
        # What the last one is in stays open too.
        last = number if number is not None else view.first_of(kept[-1]) if kept else None
        others = [key for key in kept if last is None or not view.holds(key, last)]
        asked = set(kept if opened is None else opened)
        n_dropped = 0
        while True:
            job.check()
            shown = view.show(set(kept).difference(others[:n_dropped]), widest)
            if len(shown.nodes) <= _MOST_NODES:
                yield shown, len(asked.difference(shown.opened)), widest
            if n_dropped >= len(others):
                break
            n_dropped = 2 * n_dropped or 1
    yield view.show((), _WIDEST[-1]), len(set(opened or ())), _WIDEST[-1]


def _nodes(session: Session, view: FlowView, shown: ShownNodes, n_found: Mapping[int, int]) -> Iterator[GraphNode]:
    index = session.index()
    for at, node in enumerate(shown.nodes):
        within = next((shown.nodes[box].name for box in _around(shown, at) if shown.nodes[box].kind == "module"), "")
        made: GraphNode = {
            "key": shown.keys[at],
            "kind": node.kind,  # type: ignore[typeddict-item] # one of these: a test sends each
            "name": inert(node_name(node, within), _LONGEST_NAME),
        }
        if node.parent is not None:
            made["parent"] = node.parent
        if node.class_name:
            made["class_name"] = inert(node.class_name, _LONGEST_NAME)
        for name, value in (("is_open", node.is_open), ("can_open", shown.can_open[at]), ("failed", node.failed)):
            if value:
                made[name] = True  # type: ignore[literal-required] # as above
        if node.n_calls:
            made["n_calls"] = node.n_calls
        if node.n_repeats > 1:
            made["n_repeats"] = node.n_repeats
        if n_found.get(at):
            made["n_found"] = n_found[at]
        if at in shown.stands_for:
            _add_figures(made, index, session.signal, list(_calls(view, shown, at)))
        yield made


def _around(shown: ShownNodes, at: int) -> Iterator[int]:
    parent = shown.nodes[at].parent
    while parent is not None:
        yield parent
        parent = shown.nodes[parent].parent


def _calls(view: FlowView, shown: ShownNodes, at: int) -> Iterator[TraceCall]:
    first, step, n = shown.stands_for[at]
    for place in range(first, first + n * step, step)[:_MOST_SUMMED]:
        call = view.tree.things[place]
        if isinstance(call, TraceCall):
            yield call


def _add_figures(made: GraphNode, index: TreeIndex, signal: SignalMarks, calls: Sequence[TraceCall]) -> None:
    """Add what is known of the calls that a node stands for, and of their modules."""
    if len(calls[0].path) <= _LONGEST_PATH:
        made["path"] = calls[0].path
    if len(calls) < made.get("n_repeats", 1):
        return
    if any(call.seconds is not None for call in calls):
        made["seconds"] = sum(call.seconds or 0.0 for call in calls)
    if all(call.flops is not None for call in calls):
        made["flops"] = sum(call.flops or 0 for call in calls)
    paths = dict.fromkeys(call.path for call in calls)
    met = sorted((row for path in paths if (row := signal.row(path)) is not None), key=lambda row: row["level"])
    if met:
        middle = met[len(met) // 2]
        n_bad = sum(int(row["n_bad"]) for row in met)
        made["signal"] = {"std": middle["std"], "level": middle["level"], "n_bad": n_bad}
    rows = [place.row for path in paths if (place := index.resolve(path)) is not None]
    made["n_params"] = index.n_params_of(rows)
    tie = next((index.tie_inside[row] for row in rows if index.tie_inside[row]), None)
    if tie is not None:
        made["tie"] = tie
    worst = index.worst_of(rows)
    if worst is not None:
        made["findings"] = worst


def _edge(edge: FlowEdge) -> GraphEdge:
    made: GraphEdge = {
        "source": edge.source,
        "target": edge.target,
        "shape": inert(shape_text(edge.shape), _LONGEST_NAME),
        "dtype": edge.dtype,
    }
    if edge.through:
        made["through"] = [inert(name, _LONGEST_NAME) for name in edge.through]
    if edge.n_tensors > 1:
        made["n_tensors"] = edge.n_tensors
    if edge.is_to_next:
        made["is_to_next"] = True
    return made
