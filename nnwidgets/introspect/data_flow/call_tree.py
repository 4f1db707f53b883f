"""The calls of a trace and the operators between them: one tree of numbered nodes, and the edges among its leaves."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from nnwidgets.introspect.records import TraceCall, TraceEdge, TraceOperator


class Wire(NamedTuple):
    """An edge between two nodes."""

    source: int
    target: int
    shape: tuple[int, ...]
    dtype: str
    through: tuple[str, ...]


class CallTree:
    """Every node by a number, in the order they began; what is in a node has the numbers that follow its own.

    Attributes:
        things: The call or the operator that each is.
        parents: The node that each is in; -1 of the first ones.
        ends: The number behind the last node in each.
        wired: The nodes that edges end at.
        n_calls: How many calls are before each, and in all.
    """

    def __init__(
        self, calls: Sequence[TraceCall], operators: Sequence[TraceOperator], edges: Sequence[TraceEdge]
    ) -> None:
        self.things: list[TraceCall | TraceOperator] = []
        self.parents: list[int] = []
        self.ends: list[int] = []
        numbers_of_calls: list[int] = []
        numbers_of_operators: list[int] = []
        open_calls: list[int] = []
        for at in range(len(calls) + 1):
            while len(numbers_of_operators) < len(operators):
                operator = operators[len(numbers_of_operators)]
                if operator.n_calls_before > at:
                    break
                around = numbers_of_calls[operator.call] if at and operator.kind == "operator" else -1
                self._close(open_calls, around)
                numbers_of_operators.append(self._add(operator, around))
            if at < len(calls):
                call = calls[at]
                self._close(open_calls, open_calls[call.depth - 1] if call.depth else -1)
                number = self._add(call, open_calls[-1] if open_calls else -1)
                numbers_of_calls.append(number)
                open_calls.append(number)
        self._close(open_calls, -1)

        def number_of(end: int) -> int:
            return numbers_of_calls[end] if end >= 0 else numbers_of_operators[~end]

        wires = [
            Wire(number_of(edge.source), number_of(edge.target), edge.shape, edge.dtype, edge.through) for edge in edges
        ]
        self._by_target, self._into = _by_end(wires, [wire.target for wire in wires], len(self))
        self._by_source, self._out_of = _by_end(wires, [wire.source for wire in wires], len(self))
        self._entering: dict[tuple[int, int], list[Wire]] = {}
        self.wired = {end for wire in wires for end in wire[:2]}
        self.n_calls = [0, *itertools.accumulate(isinstance(thing, TraceCall) for thing in self.things)]

    def __len__(self) -> int:
        return len(self.things)

    def children(self, node: int) -> Iterator[int]:
        """The nodes directly in one; of -1, those in none."""
        at, end = node + 1, len(self) if node < 0 else self.ends[node]
        while at < end:
            yield at
            at = self.ends[at]

    @property
    def wires(self) -> list[Wire]:
        """The edges, by the nodes that take."""
        return self._by_target

    def out_of(self, node: int) -> list[Wire]:
        """The edges that a node gives."""
        return self._by_source[self._out_of[node] : self._out_of[node + 1]]

    def n_given(self, start: int, end: int) -> int:
        """How many edges nodes of these numbers give."""
        return self._out_of[end] - self._out_of[start]

    def n_taken(self, start: int, end: int) -> int:
        """How many edges nodes of these numbers take."""
        return self._into[end] - self._into[start]

    def into_node(self, node: int) -> list[Wire]:
        """The edges that a node takes."""
        return self._by_target[self._into[node] : self._into[node + 1]]

    def into(self, start: int, end: int) -> list[Wire]:
        """The edges that nodes of these numbers are given by others."""
        key = start, end
        if key not in self._entering:
            within = self._by_target[self._into[start] : self._into[end]]
            self._entering[key] = [wire for wire in within if not start <= wire[0] < end]
        return self._entering[key]

    def _add(self, thing: TraceCall | TraceOperator, parent: int) -> int:
        self.things.append(thing)
        self.parents.append(parent)
        self.ends.append(len(self.things))
        return len(self.things) - 1

    def _close(self, open_calls: list[int], down_to: int) -> None:
        while open_calls and open_calls[-1] != down_to:
            self.ends[open_calls.pop()] = len(self.things)


def depths(tree: CallTree) -> Sequence[int]:
    """How many nodes each is in.

    Example:
        >>> import torch, nnwidgets as nnw
        >>> net = torch.nn.Sequential(torch.nn.ReLU())
        >>> found = nnw.trace(net, torch.ones(1))
        >>> depths(CallTree(found.calls, found.operators, found.edges))  # the input, the model, its ReLU, the output
        [0, 0, 1, 0]
    """
    found: list[int] = []
    for parent in tree.parents:
        found.append(0 if parent < 0 else found[parent] + 1)
    return found


def _by_end(wires: Sequence[Wire], ends: Sequence[int], n_nodes: int) -> tuple[list[Wire], list[int]]:
    """Edges in the order of the nodes at one end of them, and for each node how many are before its own."""
    counts = [0] * (n_nodes + 1)
    for end in ends:
        counts[end + 1] += 1
    return [wires[at] for at in sorted(range(len(wires)), key=ends.__getitem__)], list(itertools.accumulate(counts))
