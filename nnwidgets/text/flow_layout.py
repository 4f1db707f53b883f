"""Where a small graph's boxes stand and its lines run: one below the other in their order, skips beside them.

`html.py` draws it. What goes to the next goes straight down; what skips some runs to the right of them, in the
innermost box that has both ends; what goes back up runs to the left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from nnwidgets.formatting import cut, inert, shape_text, width
from nnwidgets.introspect.data_flow.flow_graph import FlowEdge, FlowGraph, FlowNode
from nnwidgets.introspect.data_flow.written import node_title

MOST_DRAWN = 60
"""Nodes of a graph that is drawn; a larger one is only told."""
HEIGHT = 24.0
_LETTER = 6.65
_HEAD, _PAD, _GAP, _LANE = 22.0, 9.0, 18.0, 11.0
_LEFT = -20.0
"""Where leaves begin, to the left of the line that goes down through all of them."""
_MOST_LETTERS = 34
_MOST_SHAPES = 2


@dataclass
class Box:
    """A node in its place.

    Attributes:
        node: What it is of.
        title: Its name, and how many it stands for.
        class_name: Of a module, cut.
        shapes: Of what it gave.
        axis: Where lines go down through it.
    """

    node: FlowNode
    title: str
    class_name: str
    shapes: str
    left: float = _LEFT
    right: float = 0.0
    top: float = 0.0
    bottom: float = 0.0
    axis: float = 0.0

    @property
    def is_around(self) -> bool:
        """Whether others are in it."""
        return self.node.is_open or self.node.kind == "row"

    @property
    def letters(self) -> int:
        """How many letters of a narrow width are in it, with some room between."""
        return sum(map(width, (self.title, self.class_name, self.shapes))) + 4


class Line(NamedTuple):
    """What flows from one box to another, as corners of its way."""

    corners: tuple[tuple[float, float], ...]
    is_to_next: bool
    through: str


@dataclass
class FlowLayout:
    """Boxes, outer ones before what is in them, and lines between them, from the corner at the top on the left."""

    boxes: list[Box]
    lines: list[Line] = field(default_factory=list)
    width: float = 0.0
    height: float = 0.0


def lay_out_flow(graph: FlowGraph) -> FlowLayout:
    """Place all of a graph.

    Example:
        >>> import torch
        >>> from nnwidgets.introspect import trace
        >>> found = lay_out_flow(trace(torch.nn.Linear(4, 2), torch.ones(1, 4)).graph())
        >>> [(box.title, box.shapes, box.top) for box in found.boxes], len(found.lines)
        ([('input 0', '1 × 4', 9.0), ('linear', '1 × 2', 51.0), ('output', '1 × 2', 93.0)], 2)
    """
    told: dict[int, list[str]] = {}
    for edge in graph.edges:
        for end in (edge.source, edge.target):
            if (end == edge.source) != (graph.nodes[end].kind == "output"):
                told.setdefault(end, []).append(shape_text(edge.shape))
    boxes = [_box(graph, node, list(dict.fromkeys(told.get(node.id, [])))) for node in graph.nodes]
    leaves = [at for at, node in enumerate(graph.nodes) if not boxes[at].is_around]
    rank = {leaf: at for at, leaf in enumerate(leaves)}
    by_kind = sorted(graph.edges, key=lambda edge: not edge.is_to_next)
    straight = {edge.source: edge for edge in by_kind if rank[edge.target] == rank[edge.source] + 1}
    beside = [edge for edge in graph.edges if straight.get(edge.source) is not edge]
    height = _place_downwards(boxes, straight)
    found = FlowLayout(boxes, height=height)
    for edge in straight.values():
        found.lines.append(
            Line(((0, boxes[edge.source].bottom), (0, boxes[edge.target].top)), edge.is_to_next, _through(edge))
        )
    widest = max((boxes[at].letters for at in leaves), default=0) * _LETTER + 2 * _PAD
    for at in leaves:
        boxes[at].right = _LEFT + widest
    left, right = _place_beside(found, beside, rank)
    shift = _PAD - left
    for box in boxes:
        box.left, box.right, box.axis = box.left + shift, box.right + shift, shift
    found.lines = [line._replace(corners=tuple((x + shift, y) for x, y in line.corners)) for line in found.lines]
    found.width = right - left + 2 * _PAD
    return found


def _box(graph: FlowGraph, node: FlowNode, shapes: list[str]) -> Box:
    title = node_title(node, graph, of_row="")
    told = ", ".join(shapes[:_MOST_SHAPES]) + (", …" if len(shapes) > _MOST_SHAPES else "")
    title, class_name, told = (cut(inert(each, 200), _MOST_LETTERS) for each in (title, node.class_name, told))
    return Box(node, title, class_name, told)


def _through(edge: FlowEdge) -> str:
    return cut(" · ".join(inert(name, 40) for name in edge.through), _MOST_LETTERS)


def _place_downwards(boxes: Sequence[Box], straight: dict[int, FlowEdge]) -> float:
    """Give all boxes their tops and bottoms; return the height of all."""
    y = _PAD
    around: list[Box] = []
    for at, box in enumerate(boxes):
        while around and around[-1].node.id != box.node.parent:
            around.pop().bottom = y
            y += _PAD
        box.top = y
        if box.is_around:
            around.append(box)
            y += _HEAD + 4
        else:
            box.bottom = y + HEIGHT
            label = 8 if at in straight and straight[at].through else 0
            y = box.bottom + (_GAP + label if at in straight else _PAD)
    while around:
        around.pop().bottom = y
        y += _PAD
    return y


def _place_beside(found: FlowLayout, edges: Sequence[FlowEdge], rank: dict[int, int]) -> tuple[float, float]:
    """Make what is around others as wide as these and the lines beside them; return how far all reaches."""
    boxes = found.boxes
    children: dict[int | None, list[int]] = {}
    for at, box in enumerate(boxes):
        children.setdefault(box.node.parent, []).append(at)
    within: dict[int | None, list[FlowEdge]] = {}
    for edge in edges:
        within.setdefault(_innermost(boxes, edge.source, edge.target), []).append(edge)
    ends = (0.0, 0.0)
    around = [at for at, box in enumerate(boxes) if box.is_around]
    for outer in (*reversed(around), None):
        inside = [boxes[child] for child in children.get(outer, [])]
        left = min((box.left for box in inside), default=0.0)
        right = max((box.right for box in inside), default=0.0)
        groups: dict[tuple[bool, int], list[FlowEdge]] = {}
        for edge in within.get(outer, []):
            groups.setdefault((rank[edge.target] > rank[edge.source], edge.source), []).append(edge)
        for is_down in (True, False):
            lanes = _lanes([each for (down, _), each in groups.items() if down == is_down], rank)
            for lane, group in lanes:
                x = right + (lane + 1) * _LANE if is_down else left - (lane + 1) * _LANE
                found.lines += [_line(boxes[edge.source], boxes[edge.target], x, edge) for edge in group]
            n = max((lane + 1 for lane, _ in lanes), default=0)
            if is_down:
                right += n * _LANE
            else:
                left -= n * _LANE
        if outer is None:
            ends = left, right
        else:
            box = boxes[outer]
            box.left, box.right = left - _PAD, max(right + _PAD, box.letters * _LETTER)
    return ends


def _line(source: Box, target: Box, x: float, edge: FlowEdge) -> Line:
    is_down = target.top > source.top
    start, end = (source.right, target.right) if is_down else (source.left, target.left)
    y_start, y_end = (source.bottom - 7, target.top + 7)
    return Line(((start, y_start), (x, y_start), (x, y_end), (end, y_end)), edge.is_to_next, "")


def _lanes(groups: Sequence[list[FlowEdge]], rank: dict[int, int]) -> list[tuple[int, list[FlowEdge]]]:
    """Which lane each group runs in: short ones next to the boxes, none over another."""
    spans = []
    for group in groups:
        ends = [rank[edge.source] for edge in group] + [rank[edge.target] for edge in group]
        spans.append((max(ends) - min(ends), min(ends), max(ends), group))
    taken: list[list[tuple[int, int]]] = []
    found = []
    for _, first, last, group in sorted(spans, key=lambda span: span[:3]):
        lane = next(
            (at for at, spans_in in enumerate(taken) if all(last <= a or b <= first for a, b in spans_in)), len(taken)
        )
        if lane == len(taken):
            taken.append([])
        taken[lane].append((first, last))
        found.append((lane, group))
    return found


def _innermost(boxes: Sequence[Box], one: int, other: int) -> int | None:
    """The innermost box around both; None where there is none."""
    around: list[int | None] = []
    parent = boxes[one].node.parent
    while parent is not None:
        around.append(parent)
        parent = boxes[parent].node.parent
    parent = boxes[other].node.parent
    while parent is not None and parent not in around:
        parent = boxes[parent].node.parent
    return parent
