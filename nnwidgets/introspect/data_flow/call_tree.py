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
        things: list[TraceCall | TraceOperator] = []
        parents: list[int] = []
        numbers_of_calls: list[int] = []
        numbers_of_operators: list[int] = []
        last_at_depth: list[int] = []
        waiting = iter(operators)
        operator = next(waiting, None)
        for at in range(len(calls) + 1):
            while operator is not None and operator.n_calls_before <= at:
                numbers_of_operators.append(len(things))
                parents.append(numbers_of_calls[operator.call] if at and operator.kind == "operator" else -1)
                things.append(operator)
                operator = next(waiting, None)
            if at < len(calls):
                call = calls[at]
                numbers_of_calls.append(len(things))
                parents.append(last_at_depth[call.depth - 1] if call.depth else -1)
                last_at_depth[call.depth :] = (len(things),)
                things.append(call)
        self.things, self.parents = things, parents
        self.ends: list[int] = [*range(1, len(things) + 1)]
        for number in reversed(range(len(things))):
            around = parents[number]
            if around >= 0 and self.ends[around] < self.ends[number]:
                self.ends[around] = self.ends[number]
        # Of operators edges have ``~index``: the first is the last here.
        numbers = [*numbers_of_calls, *reversed(numbers_of_operators)]
        sources, targets = [numbers[edge.source] for edge in edges], [numbers[edge.target] for edge in edges]
        wires = [
            Wire(source, target, edge.shape, edge.dtype, edge.through)
            for source, target, edge in zip(sources, targets, edges, strict=True)
        ]
        self._by_target, self._into = _by_end(wires, targets, len(self))
        self._by_source, self._out_of = _by_end(wires, sources, len(self))
        self._entering: dict[tuple[int, int], list[Wire]] = {}
        self.wired = {*sources, *targets}
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

    def out_of(self, start: int, end: int) -> list[Wire]:
        """The edges that nodes of these numbers give."""
        return self._by_source[self._out_of[start] : self._out_of[end]]

    def n_given(self, start: int, end: int) -> int:
        """How many edges nodes of these numbers give."""
        return self._out_of[end] - self._out_of[start]

    def n_taken(self, start: int, end: int) -> int:
        """How many edges nodes of these numbers take."""
        return self._into[end] - self._into[start]

    def into_all(self, start: int, end: int) -> list[Wire]:
        """The edges that nodes of these numbers take, from each other too."""
        return self._by_target[self._into[start] : self._into[end]]

    def into(self, start: int, end: int) -> list[Wire]:
        """The edges that nodes of these numbers are given by others."""
        key = start, end
        if key not in self._entering:
            self._entering[key] = [wire for wire in self.into_all(*key) if not start <= wire[0] < end]
        return self._entering[key]


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
