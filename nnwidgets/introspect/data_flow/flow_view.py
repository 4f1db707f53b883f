"""The graph of one forward, asked for again and again as its boxes are opened and closed."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from functools import cached_property

from nnwidgets.introspect.data_flow.call_tree import CallTree, depths
from nnwidgets.introspect.data_flow.flow_graph import FlowGraph
from nnwidgets.introspect.data_flow.fold import ShownNodes
from nnwidgets.introspect.data_flow.repeats import Repeats
from nnwidgets.introspect.data_flow.search import Search
from nnwidgets.introspect.records import TraceCall, TraceEdge, TraceOperator
from nnwidgets.introspect.safe_access.scan import gc_paused

_SHOWN_UNASKED = 60
_WIDEST_UNASKED = (60, 25, 10, 6)
"""Nodes directly in a box: fewer where more edges than these go between them, of which no drawing can be read."""
_MOST_EDGES_UNASKED = 400
_KEY = re.compile(r"([0-9]{1,9})(?:-([0-9]{1,9}))?")


class FlowView:
    """What ran in a forward as a tree, and what repeats in it; boxes of it are known by their keys.

    Args:
        calls: Those of a `Trace`.
        operators: What ran outside of its modules.
        edges: What flowed between both.
        failed_at: Path of the innermost module whose forward raised, or None.
        fold: Whether what repeats is shown once.
    """

    def __init__(
        self,
        calls: Sequence[TraceCall],
        operators: Sequence[TraceOperator],
        edges: Sequence[TraceEdge],
        failed_at: str | None,
        *,
        fold: bool = True,
    ) -> None:
        with gc_paused():
            self.tree = CallTree(calls, operators, edges)
            self._repeats = Repeats(self.tree, folds=fold)
        self._depths = depths(self.tree)
        raised = (
            number
            for number, thing in enumerate(self.tree.things)
            if isinstance(thing, TraceCall) and thing.seconds is None and thing.path == failed_at
        )
        self._failed = max(raised, default=-1)

    def graph(self, depth: int | None) -> FlowGraph:
        """The graph as `Trace.graph` gives it."""
        if depth is not None:
            return self._down_to(depth, None).graph()
        for widest in _WIDEST_UNASKED:
            graph = self.show_few(widest).graph()
            if len(graph.edges) <= _MOST_EDGES_UNASKED:
                break
        return graph

    def show_few(self, widest: int | None = None) -> ShownNodes:
        """As deep as some sixty nodes go."""
        shown = self._down_to(1, widest)
        for limit in range(2, max(self._depths, default=0) + 2):
            deeper = self._down_to(limit, widest, _SHOWN_UNASKED)
            if len(deeper.nodes) > _SHOWN_UNASKED:
                break
            shown = deeper
        return shown

    def show(self, opened: Collection[str], widest: int) -> ShownNodes:
        """What is shown where the boxes of these keys are open, as far as they are in others that are."""
        with gc_paused():
            return ShownNodes(self._failed, self.tree, self._repeats, opened.__contains__, widest=widest)

    @cached_property
    def search(self) -> Search:
        """Finds boxes by what is written in them."""
        with gc_paused():
            return Search(self.tree, ShownNodes(self._failed, self.tree, self._repeats, lambda _key: True))

    def place_of(self, path: str) -> int | None:
        """The number in the tree of the first call of a module; None where it wasn't called."""
        things = enumerate(self.tree.things)
        return next((at for at, thing in things if isinstance(thing, TraceCall) and thing.path == path), None)

    def boxes_around(self, number: int, opened: Collection[str], widest: int) -> list[str]:
        """Keys of the boxes to open, beside those that are, so that a node of the tree is shown."""
        found: list[str] = []
        while True:
            shown = self.show({*opened, *found}, widest)
            node = shown.shown_as[number]
            if node < 0 or not shown.can_open[node] or shown.nodes[node].is_open or self._is_shown(shown, node, number):
                return found
            found.append(shown.keys[node])

    def first_of(self, key: str) -> int | None:
        """The number in the tree of the box of a key, or of the first node in it; None where there is no such box."""
        found = _KEY.fullmatch(key)
        return int(found[1]) if found is not None and int(found[2] or found[1]) < len(self.tree) else None

    def holds(self, key: str, number: int) -> bool:
        """Whether a node of the tree is the box of a key, or in it."""
        first = self.first_of(key)
        return first is not None and first <= number < self.tree.ends[int(key.rpartition("-")[2])]

    def _is_shown(self, shown: ShownNodes, node: int, number: int) -> bool:
        stands_for = shown.stands_for.get(node)
        return stands_for is not None and number in range(
            stands_for.first, stands_for.first + stands_for.n * stands_for.step, stands_for.step
        )

    def _down_to(self, limit: int, widest: int | None, most: int | None = None) -> ShownNodes:
        def is_open(key: str) -> bool:
            return "-" not in key and self._depths[int(key)] <= limit

        return ShownNodes(self._failed, self.tree, self._repeats, is_open, widest=widest, most=most)
