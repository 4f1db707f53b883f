"""How far rows have moved since a mark: of a module, as far as the tensor below it that moved most."""

from __future__ import annotations

import heapq
import math

from nnwidgets.checkpoint import Snapshot
from nnwidgets.server.rows.tree_index import TreeIndex

_MOST_SENT = 5_000


def moved_rows(index: TreeIndex, mark: Snapshot, module: object) -> dict[str, float | None]:
    """Return by path how far what moved has moved, over its norm; None where only that it did is known.

    A part of a model of more tensors than the page is sent: those that moved most, and all modules above them.
    """
    found = mark.moved(module)
    moved = {
        number: math.inf if each.by is None else each.by
        for number, entry in enumerate(index.tensors)
        if (each := found.get(entry.path)) is not None and (each.by is None or each.by != 0)
    }
    tensors = heapq.nlargest(_MOST_SENT, moved, key=lambda number: _rank(moved[number]))
    made: dict[str, float | None] = {}
    for number in tensors:
        by = found[index.tensors[number].path].by
        made[index.tensors[number].path] = by
        above = index.owner[number]
        # The tensors come by how far they moved: what is above one was told already, and all above that too.
        while above >= 0 and index.nodes[above].path not in made:
            made[index.nodes[above].path] = by
            above = index.parent[above]
    return made


def _rank(by: float) -> tuple[bool, float]:
    return math.isnan(by), by
