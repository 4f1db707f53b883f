"""What the filter box and the chips keep: rows of the whole tree, shown before or not.

`flatten` shows what is kept; a change that is aimed at the filter's rows asks here too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from nnwidgets.errors import NNWidgetsError
from nnwidgets.introspect.records import TensorEntry
from nnwidgets.server.rows.tree_index import TreeIndex, is_frozen
from nnwidgets.wire.schema.tree import ChipCounts

_GLOB = frozenset("*?[")
_GRADIENT = ".grad"


@dataclass(frozen=True)
class Matches:
    """What was found.

    Attributes:
        is_filter: Whether there was anything to look for.
        nodes: Numbers of the modules that match.
        tensors: Numbers of the tensors that match.
        problem: Why the filter can't be read, or None.
    """

    is_filter: bool = False
    nodes: frozenset[int] = frozenset()
    tensors: frozenset[int] = frozenset()
    problem: str | None = None

    @property
    def n(self) -> int:
        """How many rows match."""
        return len(self.nodes) + len(self.tensors)

    def visible(self, index: TreeIndex) -> list[int]:
        """Return the modules that have a row, in walk order: matches, owners of matching tensors, and all above."""
        seen = {0, *self.nodes}
        seen.update([index.owner[tensor] for tensor in self.tensors])
        parent = index.parent
        for number in tuple(seen):
            up = parent[number]
            while up not in seen and up >= 0:
                seen.add(up)
                up = parent[up]
        return sorted(seen)


def matches(index: TreeIndex, text: str, chips: frozenset[str]) -> Matches:
    """Return what ``text`` and ``chips`` keep of ``index``: every word must hold, and every chip.

    ``trainable`` and ``frozen`` chosen together keep both. A word is a target (a path, a glob, ``ClassName``,
    ``ClassName.tensor``) or, where no target of that spelling exists, a part of a row's own name or class in any case.
    """
    words = text.split()
    if not words and not chips:
        return Matches()
    nodes: set[int] | None = None
    tensors: set[int] | None = None
    try:
        found = [_target_rows(index, text.strip())] if len(words) > 1 else []
        if not any(map(any, found)):
            found = [_word_rows(index, word) for word in words]
    except NNWidgetsError as error:
        return Matches(problem=error.message)
    for found_nodes, found_tensors in found:
        nodes = found_nodes if nodes is None else nodes & found_nodes
        tensors = found_tensors if tensors is None else tensors & found_tensors
    return _combine(index, nodes, tensors, chips)


def chip_counts(index: TreeIndex) -> ChipCounts:
    """Return how many tensors are trainable, frozen and tied, and how many findings there are."""
    return {
        "trainable": sum(map(_is_trainable, index.tensors)),
        "frozen": index.n_frozen[0],
        "tied": sum(index.tie(entry) is not None for entry in index.tensors),
        "findings": len(index.findings),
    }


def _target_rows(index: TreeIndex, target: str) -> tuple[set[int], set[int]]:
    found = index.matcher.match(target, words=False)
    if not found.paths and target.endswith(_GRADIENT):
        # A gradient is shown with its tensor.
        of = index.matcher.match(target.removesuffix(_GRADIENT), words=False)
        found = replace(of, nodes=(), tensors=tuple(entry for entry in of.tensors if entry.has_grad))
    nodes = {index.number[node.path] for node in found.nodes}
    tensors = {index.tensor_at[entry.path] for entry in found.tensors if entry.path in index.tensor_at}
    for entry in found.tensors:
        place = index.resolve(entry.path) if entry.path not in index.tensor_at else None
        if place is not None:
            nodes.add(place.row)
    return nodes, tensors


def _word_rows(index: TreeIndex, word: str) -> tuple[set[int], set[int]]:
    nodes, tensors = _target_rows(index, word)
    if nodes or tensors or not _GLOB.isdisjoint(word):
        return nodes, tensors
    return _part_rows(index, word.casefold())


def _part_rows(index: TreeIndex, part: str) -> tuple[set[int], set[int]]:
    """Return the rows whose own name or class holds ``part``; with a dot in it, those whose path does."""
    if "." in part:
        nodes = {number for number, node in enumerate(index.nodes) if part in node.path.casefold()}
        return nodes, {number for number, entry in enumerate(index.tensors) if part in entry.path.casefold()}
    nodes = {
        number
        for number, node in enumerate(index.nodes)
        if part in node.path.rpartition(".")[2].casefold() or part in node.class_name.casefold()
    }
    return nodes, {
        number for number, entry in enumerate(index.tensors) if part in entry.path.rpartition(".")[2].casefold()
    }


def _combine(index: TreeIndex, nodes: set[int] | None, tensors: set[int] | None, chips: frozenset[str]) -> Matches:
    if chips:
        kept = set(range(len(index.tensors))) if tensors is None else tensors
        for chip_set in _chip_sets(index, chips):
            kept = kept & chip_set
        tensors = kept
        found = {index.number[path] for path in index.findings_at if path in index.number}
        nodes = set() if chips != {"findings"} else found if nodes is None else nodes & found
    return Matches(is_filter=True, nodes=frozenset(nodes or ()), tensors=frozenset(tensors or ()))


def _chip_sets(index: TreeIndex, chips: frozenset[str]) -> Iterator[set[int]]:
    """Give the tensors that each chip keeps; trainable and frozen together keep what either does."""
    chosen = [test for chip, test in _BY_STATE.items() if chip in chips]
    if chosen:
        yield {number for number, entry in enumerate(index.tensors) if any(test(entry) for test in chosen)}
    if "tied" in chips:
        yield {number for number, entry in enumerate(index.tensors) if index.tie(entry) is not None}
    if "findings" in chips:
        yield {index.tensor_at[path] for path in index.findings_at if path in index.tensor_at}


def _is_trainable(entry: TensorEntry) -> bool:
    return entry.role == "parameter" and entry.requires_grad


_BY_STATE: dict[str, Callable[[TensorEntry], bool]] = {"trainable": _is_trainable, "frozen": is_frozen}
