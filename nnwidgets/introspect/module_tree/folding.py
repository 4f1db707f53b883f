"""Runs of like siblings, such as the twelve blocks of a GPT-2, that a view shows as one row.

Two modules are alike when class, summary, tensors (name, role, shape, dtype) and all that is below them are. Each
distinct shape of a subtree gets a number, from the leaves up, so that comparing two subtrees compares two integers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from nnwidgets.introspect import paths
from nnwidgets.introspect.module_tree.nodes import ModuleNode, ModuleTree

SHORTEST = 3
"""Fewer like siblings than this stay as they are."""


@dataclass(frozen=True, slots=True)
class FoldedRun:
    """Consecutive siblings of one parent.

    Attributes:
        nodes: The members, in order; three or more where they are folded, else one.
    """

    nodes: tuple[ModuleNode, ...]

    @property
    def is_folded(self) -> bool:
        """Whether it stands for several nodes."""
        return len(self.nodes) > 1

    @property
    def label(self) -> str:
        """``"h.0 … h.11"`` for a folded run, the last component of the path for a single node."""
        first, last = self.nodes[0].path, self.nodes[-1].path
        if not self.is_folded:
            return paths.last(first)
        return f"{short_label(first)} … {short_label(last)}"


class Alikes:
    """Which nodes of a tree are alike; made once per tree.

    Example:
        >>> from torch import nn
        >>> from nnwidgets.introspect import tree
        >>> found = tree(nn.Sequential(*[nn.Linear(2, 2) for _ in range(4)], nn.ReLU()))
        >>> [run.label for run in Alikes(found).fold(found.root.children)]
        ['0 … 3', '4']
    """

    def __init__(self, tree: ModuleTree) -> None:
        """Number the structures of all nodes."""
        self._tree = tree
        self._numbers = _numbers(tree.nodes)

    def structure(self, node: ModuleNode) -> int:
        """A number that like nodes of this tree have in common."""
        return self._numbers[id(node)]

    def fold(self, children: Sequence[ModuleNode]) -> list[FoldedRun]:
        """Children as runs: three or more like ones together, the others on their own."""
        return _runs(children, self._numbers)


def fold(children: Sequence[ModuleNode]) -> list[FoldedRun]:
    """Fold the children of one node; where many are to be folded, `Alikes` reads the tree only once."""
    return _runs(children, _numbers([node for child in children for node in child.walk()]))


def one_by_one(children: Sequence[ModuleNode]) -> list[FoldedRun]:
    """Children as runs of one each."""
    return [FoldedRun((node,)) for node in children]


def only_run(node: ModuleNode, fold_like: Callable[[Sequence[ModuleNode]], list[FoldedRun]]) -> FoldedRun | None:
    """The run that a view shows in place of a node: that of a bare list which holds nothing else. None for all others.

    Args:
        node: A node that stands alone among its siblings.
        fold_like: Gives the runs of its children: `fold`, or `Alikes.fold`.
    """
    if node.class_name != "ModuleList" or node.tensors or node.problem or len(node.children) < SHORTEST:
        return None
    runs = fold_like(node.children)
    return runs[0] if len(runs) == 1 else None


def _runs(children: Sequence[ModuleNode], numbers: dict[int, int]) -> list[FoldedRun]:
    runs: list[FoldedRun] = []
    at = 0
    while at < len(children):
        end = at + 1
        if children[at].kind == "module":
            number = numbers[id(children[at])]
            while end < len(children) and numbers[id(children[end])] == number:
                end += 1
        if end - at >= SHORTEST:
            runs.append(FoldedRun(tuple(children[at:end])))
        else:
            runs.extend(FoldedRun((node,)) for node in children[at:end])
        at = end
    return runs


def _numbers(nodes: Sequence[ModuleNode]) -> dict[int, int]:
    """A number for each node (by id), the same for like ones; from the last node to the first, children first."""
    known: dict[Any, int] = {}
    numbers: dict[int, int] = {}
    for node in reversed(nodes):
        at = len(node.path)
        tensors = tuple([(each.path[at:], each.role, each.shape, each.dtype) for each in node.tensors])
        below = tuple([(child.path[at:], numbers[id(child)]) for child in node.children])
        key = (node.class_name, node.summary, node.kind, node.problem, tensors, below)
        numbers[id(node)] = known.setdefault(key, len(known))
    return numbers


def short_label(path: str) -> str:
    """The end of a path that tells a list's members apart: ``h.3`` for ``transformer.h.3``.

    Example:
        >>> short_label("transformer.h.3"), short_label("3"), short_label("encoder.layer")
        ('h.3', '3', 'layer')
    """
    name = paths.last(path)
    above = paths.last(paths.parent(path))
    return paths.join(above, name) if above and (name.isdigit() or name.startswith("[")) else name
