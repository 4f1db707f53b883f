"""Finds boxes of a graph by their names, classes and shapes."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from nnwidgets.introspect.data_flow.call_tree import CallTree
from nnwidgets.introspect.data_flow.fold import ShownNodes
from nnwidgets.introspect.records import TraceCall

_SHAPE = re.compile(r"(?<![^\s(\[])\d+(?:\s*[x×*,]\s*\d+)+(?![^\s)\],])")
_LONGEST = 200


class Found(NamedTuple):
    """The boxes that were found.

    Attributes:
        numbers: Theirs in the tree, in the order they began.
        n_all: How many these are where each of those that repeat counts.
    """

    numbers: list[int]
    n_all: int


class Search:
    """What each node of a tree can be found by.

    Args:
        tree: That tree.
        whole: All of it shown, that which repeats once: what is found in one of these is found once.
    """

    def __init__(self, tree: CallTree, whole: ShownNodes) -> None:
        given = {wire.source: wire.shape for wire in tree.wires}
        self._names: list[str] = []
        self._shapes: list[str] = []
        for number, thing in enumerate(tree.things):
            if isinstance(thing, TraceCall):
                names, shapes = (thing.path, thing.class_name), thing.output_shapes
            else:
                names, shapes = (thing.kind, thing.name), (given.get(number, ()),)
            self._names.append(" ".join(names).lower())
            self._shapes.append(_written(shapes))
        self._boxes = [int(whole.keys[node]) if node >= 0 else -1 for node in whole.shown_as]

    def find(self, text: str) -> Found:
        """The boxes for which each word holds: a part of the name or of the class, or of the shape of what it gave."""
        words = _SHAPE.sub(lambda found: "×".join(re.findall(r"\d+", found[0])), text[:_LONGEST].lower()).split()
        left = [number for number, box in enumerate(self._boxes) if box >= 0] if words else []
        for word in words:
            shape = f"×{word.strip('()[],')}×"
            left = [at for at in left if word in self._names[at] or shape in self._shapes[at]]
        return Found(sorted({self._boxes[at] for at in left}), len(left))


def _written(shapes: Iterable[tuple[int, ...]]) -> str:
    """Shapes as text in which a part of one is found: ``×2×4×``.

    Example:
        >>> _written([(2, 4), (3,)])
        '×2×4× ×3×'
    """
    return " ".join(f"×{'×'.join(map(str, shape))}×" for shape in shapes)
