"""The forward passes of several ranks, each of its own part and inputs, made one trace."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from types import MappingProxyType
from typing import Any

from nnwidgets.distributed.merging.tree_json import frozen
from nnwidgets.distributed.sources.source import Missing, why_missing
from nnwidgets.formatting import rank_names
from nnwidgets.introspect.records import TraceCall, TraceEdge, TraceOperator
from nnwidgets.introspect.tracing.trace_record import RankTrace, Trace


def to_json(trace: Trace) -> dict[str, Any]:
    """A trace as JSON, to be made again by `from_json`."""
    return {name: getattr(trace, name) for name in _TRACE} | {
        name: [[getattr(each, field) for field in names] for each in getattr(trace, name)]
        for name, (_, names) in _ROWS.items()
    }


def from_json(made: Mapping[str, Any]) -> Trace:
    """The trace that `to_json` was given."""
    rows = {
        name: tuple(kind(**dict(zip(names, map(frozen, row), strict=True))) for row in made[name])
        for name, (kind, names) in _ROWS.items()
    }
    return Trace(**{**{name: frozen(made[name]) for name in _TRACE}, **rows, "by_rank": ()})


_ROWS: dict[str, tuple[type, list[str]]] = {
    name: (kind, [each.name for each in fields(kind)])
    for name, kind in (("calls", TraceCall), ("operators", TraceOperator), ("edges", TraceEdge))
}
_TRACE = [each.name for each in fields(Trace) if each.name not in {*_ROWS, "by_rank"}]


def merged(traces: Mapping[int, Trace], missing: Mapping[int, Missing] = MappingProxyType({})) -> Trace:
    """Make one trace of those of several ranks.

    Calls are those of the first rank, and of further ones those of modules that no rank before has, as of the stages of
    a pipeline. Their shapes are those that the rank had in its hands. What reached what is told of the first rank.

    Args:
        traces: By rank.
        missing: What stands for those of ranks that wait in theirs for one that has failed.
    """
    first, *_ = traces.values()
    calls = list(first.calls)
    seen = {call.path for call in calls}
    for trace in traces.values():
        calls += [call for call in trace.calls if call.path not in seen]
        seen.update(call.path for call in trace.calls)
    failed = {rank: trace for rank, trace in traces.items() if trace.error is not None}
    # They began together, so who failed first wasn't failed by another that it waited for.
    broken = min(failed.values(), key=lambda trace: trace.seconds, default=first)
    return replace(
        first,
        calls=tuple(calls),
        failed_at=broken.failed_at,
        error=_told(broken, failed, missing) if failed else None,
        unused=tuple(path for path in first.unused if path not in seen),
        seconds=max(trace.seconds for trace in traces.values()),
        flops=None if failed else _whole_work(traces),
        saved_bytes=_sum([trace.saved_bytes for trace in traces.values()]),
        local_flops=_sum([trace.local_flops for trace in traces.values()]),
        by_rank=tuple(
            RankTrace(rank, each.seconds, each.local_flops, each.saved_bytes, each.failed_at, each.error)
            for rank, each in traces.items()
        ),
    )


def _told(broken: Trace, failed: Mapping[int, Trace], missing: Mapping[int, Missing]) -> str:
    """What failed, on which ranks, and what became of those that waited for them."""
    alike = [rank for rank, trace in failed.items() if trace.error == broken.error]
    after = [rank for rank in failed if rank not in alike]
    said = f"{broken.error} (on {rank_names(alike)})"
    said += f"; {rank_names(after)} failed after that, by_rank tells how" if after else ""
    waiting = why_missing(missing)
    return f"{said}. {waiting} {_STILL_THERE}" if waiting else said


_STILL_THERE = "A forward that has begun ends there with the process group's own timeout, and the group with it."


def _whole_work(traces: Mapping[int, Trace]) -> int | None:
    """The operations of the whole model: of ranks that run the same modules those of one, of stages those of all.

    None where ranks that run the same were given inputs of different sizes, or one leaves out what others run.
    """
    called = {call.path for trace in traces.values() for call in trace.calls}
    if not all(called.isdisjoint(trace.unused) for trace in traces.values()):
        return None
    of_part: dict[tuple[str, ...], set[int | None]] = {}
    for trace in traces.values():
        of_part.setdefault(tuple(call.path for call in trace.calls), set()).add(trace.flops)
    return _sum([work.pop() if len(work) == 1 else None for work in of_part.values()])


def _sum(numbers: list[int | None]) -> int | None:
    known = [number for number in numbers if number is not None]
    return sum(known) if len(known) == len(numbers) else None
