"""A trace by the rows that its calls belong to: a session keeps the last one's `TraceMarks`, rows and `inspect` ask."""

from __future__ import annotations

from functools import cached_property

from nnwidgets.formatting import inert, shape_text
from nnwidgets.introspect.data_flow.flow_view import FlowView
from nnwidgets.introspect.records import TraceCall
from nnwidgets.introspect.tracing.trace_record import Trace
from nnwidgets.wire.schema.inspect import TraceCallBody, TraceReply
from nnwidgets.wire.schema.tree import RowTrace

_MAX_CALLS = 2_000
_MAX_CALLS_OF_ONE = 200
_MAX_SHAPES = 3


class TraceMarks:
    """What the last trace says of each module; nothing where there was none.

    Attributes:
        trace: That trace.
    """

    def __init__(self, trace: Trace | None) -> None:
        self.trace = trace
        self._calls: dict[str, list[TraceCall]] = {}
        self._unused = frozenset(trace.unused) if trace is not None else frozenset()
        self._failed_at = trace.failed_at if trace is not None else None
        for call in trace.calls if trace is not None else ():
            self._calls.setdefault(call.path, []).append(call)

    @cached_property
    def flow(self) -> FlowView:
        """The trace's graph, to be opened box by box."""
        found = self.trace
        if found is None:
            return FlowView((), (), (), None)
        return FlowView(found.calls, found.operators, found.edges, found.failed_at)

    def row(self, path: str) -> RowTrace | None:
        """Return what stands on the row of the module at ``path``."""
        calls = self._calls.get(path, [])
        if not calls and path not in self._unused:
            return None
        seconds = [call.seconds for call in calls if call.seconds is not None]
        return {
            "n_calls": len(calls),
            "shape": _in_out(calls[-1]) if calls else "",
            "seconds": sum(seconds) if seconds else None,
            "failed": path == self._failed_at,
            "unused": not calls,
            "flops": _sum([call.flops for call in calls]),
            "saved_bytes": _sum([call.saved_bytes for call in calls]),
        }

    def calls(self, path: str) -> list[TraceCallBody]:
        """Return the calls of the module at ``path``, the first 200."""
        return [call_body(call) for call in self._calls.get(path, [])[:_MAX_CALLS_OF_ONE]]


def trace_body(trace: Trace) -> TraceReply:
    """Return a whole trace for the page, its calls cut to 2,000."""
    return {
        "calls": [call_body(call) for call in trace.calls[:_MAX_CALLS]],
        "n_calls": len(trace.calls),
        "failed_at": trace.failed_at,
        "error": inert(trace.error, 2_000) if trace.error is not None else None,
        "unused": list(trace.unused[:_MAX_CALLS]),
        "seconds": trace.seconds,
        "flops": trace.flops,
        "saved_bytes": trace.saved_bytes,
    }


def call_body(call: TraceCall) -> TraceCallBody:
    """Return one call for the page."""
    return {
        "path": call.path,
        "call_index": call.call_index,
        "depth": call.depth,
        "input_shapes": [list(shape) for shape in call.input_shapes],
        "input_dtypes": list(call.input_dtypes),
        "output_shapes": [list(shape) for shape in call.output_shapes],
        "output_dtypes": list(call.output_dtypes),
        "seconds": call.seconds,
        "flops": call.flops,
        "saved_bytes": call.saved_bytes,
    }


def _sum(values: list[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known and len(known) == len(values) else None


def _in_out(call: TraceCall) -> str:
    return f"{_shapes(call.input_shapes)} → {_shapes(call.output_shapes) if call.seconds is not None else 'raised'}"


def _shapes(shapes: tuple[tuple[int, ...], ...]) -> str:
    shown = ", ".join(shape_text(shape) for shape in shapes[:_MAX_SHAPES])
    return f"{shown}, …" if len(shapes) > _MAX_SHAPES else shown or "–"
