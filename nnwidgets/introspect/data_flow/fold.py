"""Which nodes of a graph are shown, and for which others each stands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from nnwidgets.introspect.data_flow.call_tree import CallTree, depths
from nnwidgets.introspect.data_flow.flow_graph import FlowEdge, FlowGraph, FlowNode
from nnwidgets.introspect.data_flow.repeats import Repeat, Repeats
from nnwidgets.introspect.records import TraceCall, TraceEdge, TraceOperator

_SHOWN_UNASKED = 60


def graph_of(
    calls: Sequence[TraceCall],
    operators: Sequence[TraceOperator],
    edges: Sequence[TraceEdge],
    failed_at: str | None,
    depth: int | None,
    *,
    fold: bool,
) -> FlowGraph:
    """The graph of a trace, as `Trace.graph` gives it."""
    tree = CallTree(calls, operators, edges)
    repeats = Repeats(tree) if fold else None
    deep = depths(tree)
    raised = (
        number
        for number, thing in enumerate(tree.things)
        if isinstance(thing, TraceCall) and thing.seconds is None and thing.path == failed_at
    )
    failed = max(raised, default=-1)

    def down_to(limit: int) -> _Shown:
        return _Shown(failed, tree, repeats, lambda number: deep[number] <= limit)

    if depth is not None:
        return down_to(depth).graph()
    shown = down_to(1)
    for limit in range(2, max(deep, default=0) + 2):
        deeper = down_to(limit)
        if len(deeper.nodes) > _SHOWN_UNASKED:
            break
        shown = deeper
    return shown.graph()


Rows = tuple[tuple[int, int], ...]
"""The rows of repeating nodes that a node is in, outermost first, and in which unit of each."""


class _Unit(NamedTuple):
    """In which unit of which row something begins."""

    row: int
    at: int
    repeat: Repeat


class _Shown:
    """The nodes of a tree that are shown where some of its boxes are open.

    Args:
        failed: The call out of which the forward raised; -1 where there is none.
        tree: Its tree.
        repeats: What repeats in it; None to show all.
        is_open: Whether what is in a node is shown.
    """

    def __init__(self, failed: int, tree: CallTree, repeats: Repeats | None, is_open: Callable[[int], bool]) -> None:
        self.nodes: list[FlowNode] = []
        self._failed = failed
        self._tree = tree
        self._repeats = repeats
        self._is_open = is_open
        self._shown_as = [-1] * len(tree)
        self._rows: list[Rows] = [()] * len(tree)
        self._opened: set[int] = {-1}
        self._n_rows = 0
        self._units: dict[int, _Unit] = {}
        self._frames: dict[int, int] = {}
        copied = 0, 0, 0, 0
        for number in range(len(tree)):
            unit = self._units.get(number)
            if unit is not None and unit.at:
                copied = number + unit.repeat.size, unit.at * unit.repeat.size, unit.row, unit.at
            if number < copied[0]:
                self._copy(number, *copied[1:])
            elif self._tree.parents[number] in self._opened:
                self._show(number)
            else:
                parent = self._tree.parents[number]
                self._shown_as[number], self._rows[number] = self._shown_as[parent], self._rows[parent]

    def graph(self) -> FlowGraph:
        """The nodes, and what flows between them."""
        edges: dict[tuple[int, int, bool], tuple[FlowEdge, Rows]] = {}
        for wire in self._tree.wires:
            source, target = self._shown_as[wire.source], self._shown_as[wire.target]
            ends = self._rows[wire.source], self._rows[wire.target]
            is_to_next = next((one[0] == other[0] for one, other in zip(*ends, strict=False) if one != other), False)
            if source == target and not is_to_next:
                continue
            made = FlowEdge(source, target, wire.shape, wire.dtype, wire.through, 1, is_to_next)
            first, where = edges.setdefault((source, target, is_to_next), (made, ends[1]))
            if first is not made and where == ends[1]:
                edges[source, target, is_to_next] = replace(first, n_tensors=first.n_tensors + 1), where
        return FlowGraph(tuple(self.nodes), tuple(edge for edge, _ in edges.values()))

    def _copy(self, number: int, shift: int, row: int, at: int) -> None:
        """Have what the first unit of a row shows stand for a node of another."""
        self._shown_as[number] = self._shown_as[number - shift]
        self._rows[number] = tuple((each, at) if each == row else (each, k) for each, k in self._rows[number - shift])

    def _show(self, number: int) -> None:
        thing, parent = self._tree.things[number], self._tree.parents[number]
        unit = self._units.get(number)
        above = self._rows[parent] if parent >= 0 else ()
        self._rows[number] = above if unit is None else (*above, (unit.row, 0))
        around = self._frames.get(number, self._shown_as[parent] if parent >= 0 else -1)
        if unit is not None and len(unit.repeat.items) > 1 and number == unit.repeat.first:
            around = self._add(around, "row", "", n_repeats=unit.repeat.n)
            self._frames.update(dict.fromkeys(unit.repeat.items, around))
        # What flows ends at the calls that are one node, whatever is called in them.
        is_open = self._is_open(number) and self._tree.ends[number] > number + 1 and number not in self._tree.wired
        if parent < 0 and isinstance(thing, TraceCall) and number not in self._tree.wired:
            is_open = True
        else:
            self._shown_as[number] = self._add_thing(number, thing, around, unit, is_open=is_open)
        if is_open:
            self._opened.add(number)
            for repeat in self._repeats.within(number) if self._repeats else ():
                for at in range(repeat.n):
                    starts = repeat.items if at == 0 else (repeat.first + at * repeat.size,)
                    self._units.update(dict.fromkeys(starts, _Unit(self._n_rows, at, repeat)))
                self._n_rows += 1

    def _add_thing(
        self, number: int, thing: TraceCall | TraceOperator, parent: int, unit: _Unit | None, *, is_open: bool
    ) -> int:
        n_repeats, last = 1, ""
        if unit is not None and len(unit.repeat.items) == 1:
            n_repeats = unit.repeat.n
            end = self._tree.things[number + (n_repeats - 1) * unit.repeat.size]
            last = end.path if isinstance(end, TraceCall) else ""
        if isinstance(thing, TraceOperator):
            return self._add(parent, thing.kind, thing.name, n_repeats=n_repeats)
        return self._add(
            parent,
            "module",
            thing.path,
            call=self._tree.n_calls[number],
            class_name=thing.class_name,
            is_open=is_open,
            n_calls=self._tree.n_calls[self._tree.ends[number]] - self._tree.n_calls[number] - 1,
            n_repeats=n_repeats,
            last=last,
            failed=number == self._failed or (not is_open and number < self._failed < self._tree.ends[number]),
        )

    def _add(self, parent: int, kind: str, name: str, **more: Any) -> int:
        number = len(self.nodes)
        self.nodes.append(FlowNode(number, None if parent < 0 else parent, kind, name, **more))
        return number
