"""Which nodes of a graph are shown, and for which others each stands."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from nnwidgets.introspect.data_flow.call_tree import CallTree, Wire
from nnwidgets.introspect.data_flow.flow_graph import FlowEdge, FlowGraph, FlowNode
from nnwidgets.introspect.data_flow.repeats import Part, Repeat, Repeats
from nnwidgets.introspect.records import TraceCall, TraceOperator


class _Waiting(NamedTuple):
    """What is to be shown in a node: some of a box's parts, in a range or not, or an item of the only one."""

    parts: Sequence[Part]
    around: int
    rows: tuple[Repeat, ...]
    is_range: bool = False
    item: int = -1


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
        repeats: What repeats in it.
        is_open: Whether what is in a box is shown, by the box's key.
        widest: How many nodes there may be directly in a box; of more, ranges of them are boxes in it, nested as need
            be. None for any.
        most: How many nodes are enough: where there are more, not all are there, and `graph` isn't to be asked for.

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
        repeats: Repeats,
        is_open: Callable[[str], bool],
        *,
        widest: int | None = None,
        most: int | None = None,
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
        self._rows: list[tuple[Repeat, ...]] = []
        self._repeats_shown: list[Repeat] = []
        self._spans: list[tuple[int, int]] = []
        ends = itertools.groupby(repeats.parts(-1), lambda part: isinstance(tree.things[part.first], TraceCall))
        waiting = [each for _, parts in ends for each in self._split(list(parts), -1, ())][::-1]
        while waiting and (most is None or len(self.nodes) <= most):
            waiting += reversed(self._show(waiting.pop()))
        # Units further in a row are as the first, which is filled from the innermost rows outwards.
        for first, size, n, _ in reversed(self._repeats_shown):
            self.shown_as[first + size : first + n * size] = self.shown_as[first : first + size] * (n - 1)

    @property
    def opened(self) -> list[str]:
        """Keys of the boxes that are open."""
        return [key for key, node in zip(self.keys, self.nodes, strict=True) if node.is_open]

    def graph(self) -> FlowGraph:
        """The nodes, and what flows between them."""
        found: dict[tuple[int, int, bool], tuple[Wire, tuple[int, ...], set[tuple[Any, ...]]]] = {}
        shown_as, rows_of = self.shown_as, self._rows
        # What enters the second unit of a row enters all that follow.
        seconds = ((first + size, first + 2 * size) for first, size, _, _ in self._repeats_shown)
        for wire in itertools.chain.from_iterable(self._tree.into(*span) for span in sorted((*self._spans, *seconds))):
            source, target = shown_as[wire[0]], shown_as[wire[1]]
            rows, others = rows_of[source], rows_of[target]
            units = _units(others, wire[1]) if others else ()
            is_to_next = bool(rows and others) and _is_to_next(rows, _units(rows, wire[0]), others, units)
            if source != target or is_to_next:
                _, units_of_first, tensors = found.setdefault((source, target, is_to_next), (wire, units, set()))
                if units == units_of_first:
                    tensors.add((wire[0], *wire[2:]))  # one that goes to several in a box is one
        edges = (
            FlowEdge(source, target, wire.shape, wire.dtype, wire.through, len(tensors), is_to_next)
            for (source, target, is_to_next), (wire, _, tensors) in found.items()
        )
        return FlowGraph(tuple(self.nodes), tuple(edges))

    def _show(self, now: _Waiting) -> Sequence[_Waiting]:
        """Have nodes be shown, and tell what is in them that is to be shown."""
        parts, around, rows, is_range, item = now
        if is_range:
            around, is_open = self._add_range(parts, around, rows)
            return self._split(parts, around, rows) if is_open else ()
        (part,) = parts
        if item >= 0 or part.repeat is None:
            return self._add_thing(part.first if item < 0 else item, around, rows, part.repeat)
        rows = (*rows, part.repeat)
        self._repeats_shown.append(part.repeat)
        if len(part.repeat.items) > 1:
            around = self._add(f"r{part.first}", around, "row", "", rows=rows, n_repeats=part.repeat.n)
        return [_Waiting(parts, around, rows, item=number) for number in part.repeat.items]

    def _split(self, parts: Sequence[Part], around: int, rows: tuple[Repeat, ...]) -> list[_Waiting]:
        """Have ranges of a box's parts be boxes, where there are more than may be in one."""
        step = 1
        while self._widest is not None and len(parts) > step * self._widest:
            step *= self._widest
        within = (parts[at : at + step] for at in range(0, len(parts), step))
        return [_Waiting(each, around, rows, is_range=len(each) > 1) for each in within]

    def _add_range(self, parts: Sequence[Part], parent: int, rows: tuple[Repeat, ...]) -> tuple[int, bool]:
        first, last = parts[0].first, parts[-1].last
        end, key = self._tree.ends[last], f"{first}-{last}"
        is_open = self._is_open(key)
        range_ = self._add(
            key,
            parent,
            "range",
            _name(self._tree.things[first]),
            rows=rows,
            span=None if is_open else (first, end),
            last=_name(self._tree.things[last]),
            is_open=is_open,
            can_open=True,
            n_calls=self._tree.n_calls[end] - self._tree.n_calls[first],
            failed=not is_open and first <= self._failed < end,
        )
        return range_, is_open

    def _add_thing(
        self, number: int, parent: int, rows: tuple[Repeat, ...], repeat: Repeat | None
    ) -> Sequence[_Waiting]:
        thing, end = self._tree.things[number], self._tree.ends[number]
        # What flows ends at the calls that are one node, whatever is called in them.
        can_open = end > number + 1 and number not in self._tree.wired
        if isinstance(thing, TraceCall) and self._tree.parents[number] < 0 and number not in self._tree.wired:
            return self._split(self._repeats.parts(number), -1, rows)  # the model itself
        is_open = can_open and self._is_open(str(number))
        n_repeats, last, step = 1, "", 1
        if repeat is not None and len(repeat.items) == 1:
            n_repeats, step = repeat.n, repeat.size
            last = _path(self._tree.things[number + (n_repeats - 1) * step])
        span = None if is_open else (number, end)
        if isinstance(thing, TraceOperator):
            self._add(str(number), parent, thing.kind, thing.name, rows=rows, span=span, n_repeats=n_repeats)
            return ()
        self.stands_for[len(self.nodes)] = StandsFor(number, step, n_repeats)
        place = self._add(
            str(number),
            parent,
            "module",
            thing.path,
            rows=rows,
            span=span,
            can_open=can_open,
            call=self._tree.n_calls[number],
            class_name=thing.class_name,
            is_open=is_open,
            n_calls=self._tree.n_calls[end] - self._tree.n_calls[number] - 1,
            n_repeats=n_repeats,
            last=last,
            failed=number == self._failed or (not is_open and number < self._failed < end),
        )
        self.shown_as[number] = place
        return self._split(self._repeats.parts(number), place, rows) if is_open else ()

    def _add(
        self,
        key: str,
        parent: int,
        kind: str,
        name: str,
        *,
        rows: tuple[Repeat, ...],
        span: tuple[int, int] | None = None,
        can_open: bool = False,
        **more: Any,
    ) -> int:
        """Have a node be shown, which stands for a span of the tree's where it is closed."""
        place = len(self.nodes)
        self.nodes.append(FlowNode(place, None if parent < 0 else parent, kind, name, **more))
        self.keys.append(key)
        self.can_open.append(can_open)
        self._rows.append(rows)
        if span is not None:
            self._spans.append(span)
            self.shown_as[span[0] : span[1]] = [place] * (span[1] - span[0])
        return place


def _units(rows: tuple[Repeat, ...], number: int) -> tuple[int, ...]:
    """In which unit of each of the rows that it is in, outermost first, a node is."""
    found = []
    for row in rows:
        at = (number - row.first) // row.size
        number -= at * row.size
        found.append(at)
    return tuple(found)


def _is_to_next(
    rows: tuple[Repeat, ...], units: tuple[int, ...], others: tuple[Repeat, ...], other_units: tuple[int, ...]
) -> bool:
    """Whether two are in one row, and in different units of it."""
    for row, unit, other, other_unit in zip(rows, units, others, other_units, strict=False):
        if row is not other or unit != other_unit:
            return row is other
    return False


def _path(thing: TraceCall | TraceOperator) -> str:
    return thing.path if isinstance(thing, TraceCall) else ""


def _name(thing: TraceCall | TraceOperator) -> str:
    return thing.path if isinstance(thing, TraceCall) else thing.name
