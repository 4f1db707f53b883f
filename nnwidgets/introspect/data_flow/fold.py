"""Which nodes of a graph are shown, and for which others each stands."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from nnwidgets.introspect.data_flow.call_tree import CallTree
from nnwidgets.introspect.data_flow.flow_graph import FlowEdge, FlowGraph, FlowNode
from nnwidgets.introspect.data_flow.repeats import Repeat, Repeats
from nnwidgets.introspect.records import TraceCall, TraceOperator

Rows = tuple[tuple[int, int], ...]
"""The rows of repeating nodes that a node is in, outermost first, and in which unit of each."""


class _Unit(NamedTuple):
    """In which unit of which row something begins."""

    row: int
    at: int
    repeat: Repeat


class StandsFor(NamedTuple):
    """The calls that a node of a graph stands for, by their numbers in a tree: every ``step``-th from the first."""

    first: int
    step: int = 1
    n: int = 1


class ShownNodes:
    """The nodes of a tree that are shown where some of its boxes are open.

    Args:
        failed: The call out of which the forward raised; -1 where there is none.
        tree: Its tree.
        repeats: What repeats in it; None to show all.
        is_open: Whether what is in a box is shown, by the box's key.
        widest: How many nodes there may be directly in a box; of more, ranges of them are boxes in it, nested as need
            be. None for any.

    Attributes:
        nodes: Those shown.
        keys: Of each node what it is known by, whatever else is shown: its number in the tree; of a range of nodes, the
            numbers of the first and of the last; of a row, that of its first behind an "r".
        can_open: Of each, whether something is in it.
        stands_for: Of each that is a call, for which calls it stands.
        shown_as: Of each node of the tree, the place in ``nodes`` of what stands for it.
    """

    def __init__(
        self,
        failed: int,
        tree: CallTree,
        repeats: Repeats | None,
        is_open: Callable[[str], bool],
        widest: int | None = None,
    ) -> None:
        self.nodes: list[FlowNode] = []
        self.keys: list[str] = []
        self.can_open: list[bool] = []
        self.stands_for: dict[int, StandsFor] = {}
        self.shown_as = [-1] * len(tree)
        self._failed = failed
        self._tree = tree
        self._repeats = repeats
        self._is_open = is_open
        self._widest = widest
        self._rows: list[Rows] = [()] * len(tree)
        self._opened: set[int] = {-1}
        self._n_rows = 0
        self._units: dict[int, _Unit] = {}
        self._frames: dict[int, int] = {}
        self._ranges: dict[int, tuple[str, ...]] = {}
        self._range_nodes: dict[str, int] = {}
        for _, ends in itertools.groupby(tree.children(-1), lambda number: isinstance(tree.things[number], TraceCall)):
            self._split([(number,) for number in ends])
        number = 0
        while number < len(tree):
            unit = self._units.get(number)
            if unit is not None and unit.at:
                end = number + unit.repeat.size
                self._copy(number, end, unit)
            else:
                self._show(number)
                end = number + 1 if number in self._opened else tree.ends[number]
                self.shown_as[number + 1 : end] = [self.shown_as[number]] * (end - number - 1)
                self._rows[number + 1 : end] = [self._rows[number]] * (end - number - 1)
            number = end

    @property
    def opened(self) -> list[str]:
        """Keys of the boxes that are open."""
        return [key for key, node in zip(self.keys, self.nodes, strict=True) if node.is_open]

    def graph(self) -> FlowGraph:
        """The nodes, and what flows between them."""
        edges: dict[tuple[int, int, bool], tuple[FlowEdge, Rows]] = {}
        met: set[tuple[Any, ...]] = set()
        shown_as, rows = self.shown_as, self._rows
        for wire in self._tree.wires:
            source, target = shown_as[wire[0]], shown_as[wire[1]]
            one, other = rows[wire[0]], rows[wire[1]]
            is_to_next = one != other and _is_to_next(one, other)
            if source == target and not is_to_next:
                continue
            key = source, target, is_to_next
            # One that goes to several in a box is one.
            tensor = (source, target, wire[0], *wire[2:])
            if key not in edges:
                edges[key] = FlowEdge(source, target, wire.shape, wire.dtype, wire.through, 1, is_to_next), other
            elif edges[key][1] == other and tensor not in met:
                edge = edges[key][0]
                edges[key] = replace(edge, n_tensors=edge.n_tensors + 1), other
            else:
                continue
            met.add(tensor)
        return FlowGraph(tuple(self.nodes), tuple(edge for edge, _ in edges.values()))

    def _copy(self, start: int, end: int, unit: _Unit) -> None:
        """Have what the first unit of a row shows stand for the nodes of another."""
        shift, row, at = unit.at * unit.repeat.size, unit.row, unit.at
        self.shown_as[start:end] = self.shown_as[start - shift : end - shift]
        firsts = self._rows[start - shift : end - shift]
        moved = {rows: tuple((row, at) if each == row else (each, k) for each, k in rows) for rows in set(firsts)}
        self._rows[start:end] = [moved[rows] for rows in firsts]

    def _show(self, number: int) -> None:
        thing, parent = self._tree.things[number], self._tree.parents[number]
        unit = self._units.get(number)
        above = self._rows[parent] if parent >= 0 else ()
        around = self._frames.get(number)
        if around is None:
            around, is_in_closed = self._range_around(number, self.shown_as[parent] if parent >= 0 else -1)
            if is_in_closed:
                self.shown_as[number], self._rows[number] = around, above
                return
        self._rows[number] = above if unit is None else (*above, (unit.row, 0))
        if unit is not None and len(unit.repeat.items) > 1 and number == unit.repeat.first:
            around = self._add(f"r{number}", around, "row", "", n_repeats=unit.repeat.n)
            self._frames.update(dict.fromkeys(unit.repeat.items, around))
        # What flows ends at the calls that are one node, whatever is called in them.
        can_open = self._tree.ends[number] > number + 1 and number not in self._tree.wired
        is_open = can_open and self._is_open(str(number))
        if parent < 0 and isinstance(thing, TraceCall) and number not in self._tree.wired:
            is_open = True
        else:
            self.shown_as[number] = self._add_thing(number, thing, around, unit, is_open=is_open, can_open=can_open)
        if is_open:
            self._open(number)

    def _open(self, box: int) -> None:
        """Have what is directly in a box be shown."""
        self._opened.add(box)
        repeats = list(self._repeats.within(box)) if self._repeats else []
        for repeat in repeats:
            for at in range(repeat.n):
                starts = repeat.items if at == 0 else (repeat.first + at * repeat.size,)
                self._units.update(dict.fromkeys(starts, _Unit(self._n_rows, at, repeat)))
            self._n_rows += 1
        if self._widest is not None:
            firsts = {repeat.first: repeat for repeat in repeats}
            parts: list[tuple[int, ...]] = []
            behind = 0
            for child in self._tree.children(box):
                if child >= behind:
                    first = firsts.get(child)
                    behind = child + (first.n * first.size if first else 1)
                    parts.append((*first.items, first.items[-1] + (first.n - 1) * first.size) if first else (child,))
            self._split(parts)

    def _split(self, parts: Sequence[tuple[int, ...]], around: tuple[str, ...] = ()) -> None:
        """Have ranges of nodes be boxes, where there are more than may be in one; what is in a row stays together.

        Args:
            parts: The nodes of each that are shown; behind those of a row, its last.
            around: The ranges that they are in.
        """
        step = 1
        while self._widest is not None and len(parts) > step * self._widest:
            step *= self._widest
        for at in range(0, len(parts), step):
            within = parts[at : at + step]
            if len(within) > 1:
                self._split(within, (*around, f"{within[0][0]}-{within[-1][-1]}"))
            elif around:
                self._ranges.update(dict.fromkeys(within[0], around))

    def _range_around(self, number: int, parent: int) -> tuple[int, bool]:
        """The innermost range that is shown around a node, or its parent; and whether the node isn't shown in it."""
        for key in self._ranges.get(number, ()):
            if key not in self._range_nodes:
                first, last = map(int, key.split("-"))
                names = [_name(self._tree.things[end]) for end in (first, last)]
                end = self._tree.ends[last]
                self._range_nodes[key] = self._add(
                    key,
                    parent,
                    "range",
                    names[0],
                    last=names[1],
                    is_open=self._is_open(key),
                    can_open=True,
                    n_calls=self._tree.n_calls[end] - self._tree.n_calls[first],
                    failed=not self._is_open(key) and first <= self._failed < end,
                )
            parent = self._range_nodes[key]
            if not self._is_open(key):
                return parent, True
        return parent, False

    def _add_thing(
        self,
        number: int,
        thing: TraceCall | TraceOperator,
        parent: int,
        unit: _Unit | None,
        *,
        is_open: bool,
        can_open: bool,
    ) -> int:
        n_repeats, last, step = 1, "", 1
        if unit is not None and len(unit.repeat.items) == 1:
            n_repeats, step = unit.repeat.n, unit.repeat.size
            last = _path(self._tree.things[number + (n_repeats - 1) * step])
        if isinstance(thing, TraceOperator):
            return self._add(str(number), parent, thing.kind, thing.name, n_repeats=n_repeats)
        self.stands_for[len(self.nodes)] = StandsFor(number, step, n_repeats)
        return self._add(
            str(number),
            parent,
            "module",
            thing.path,
            can_open=can_open,
            call=self._tree.n_calls[number],
            class_name=thing.class_name,
            is_open=is_open,
            n_calls=self._tree.n_calls[self._tree.ends[number]] - self._tree.n_calls[number] - 1,
            n_repeats=n_repeats,
            last=last,
            failed=number == self._failed or (not is_open and number < self._failed < self._tree.ends[number]),
        )

    def _add(self, key: str, parent: int, kind: str, name: str, *, can_open: bool = False, **more: Any) -> int:
        number = len(self.nodes)
        self.nodes.append(FlowNode(number, None if parent < 0 else parent, kind, name, **more))
        self.keys.append(key)
        self.can_open.append(can_open)
        return number


def _is_to_next(source: Rows, target: Rows) -> bool:
    """Whether two are in one row, and in different units of it."""
    return next((one[0] == other[0] for one, other in zip(source, target, strict=False) if one != other), False)


def _path(thing: TraceCall | TraceOperator) -> str:
    return thing.path if isinstance(thing, TraceCall) else ""


def _name(thing: TraceCall | TraceOperator) -> str:
    return thing.path if isinstance(thing, TraceCall) else thing.name
