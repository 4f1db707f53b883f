"""What the filter box and the chips keep: rows of the whole tree, shown before or not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from nnwidgets.errors import NNWidgetsError
from nnwidgets.introspect.records import TensorEntry
from nnwidgets.introspect.targets import match
from nnwidgets.widgets.index import Index, is_frozen

_GLOB = frozenset("*?[")


@dataclass(frozen=True)
class Matches:
    """What was found.

    Attributes:
        is_filter: Whether there was anything to look for.
        nodes: Numbers of the modules that match.
        tensors: Positions of the tensors that match, by the number of their module.
        problem: Why the filter can't be read, or None.
    """

    is_filter: bool = False
    nodes: frozenset[int] = frozenset()
    tensors: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    problem: str | None = None

    @property
    def n(self) -> int:
        """How many rows match."""
        return len(self.nodes) + sum(map(len, self.tensors.values()))

    def visible(self, index: Index) -> list[int]:
        """Return the modules that have a row, in walk order: matches, owners of matching tensors, and all above."""
        seen = {0}
        for number in (*self.nodes, *self.tensors):
            up = number
            while up not in seen:
                seen.add(up)
                up = index.parent[up]
        return sorted(seen)


def matches(index: Index, text: str, chips: frozenset[str]) -> Matches:
    """Return what ``text`` and ``chips`` keep of ``index``: every word must hold, and every chip.

    ``trainable`` and ``frozen`` chosen together keep both. A word is a target (a path, a glob, ``ClassName``,
    ``ClassName.tensor``) or, where no target of that spelling exists, a part of a row's own name or class in any case.
    """
    words = text.split()
    if not words and not chips:
        return Matches()
    nodes: set[int] | None = None
    tensors: set[tuple[int, int]] | None = None
    try:
        found = [_named(index, text.strip())] if len(words) > 1 else []
        if not any(map(any, found)):
            found = [_of_word(index, word) for word in words]
    except NNWidgetsError as error:
        return Matches(problem=error.message)
    for found_nodes, found_tensors in found:
        nodes = found_nodes if nodes is None else nodes & found_nodes
        tensors = found_tensors if tensors is None else tensors & found_tensors
    return _kept(index, nodes, tensors, chips)


def chip_counts(index: Index) -> dict[str, int]:
    """Return how many tensors are trainable, frozen and tied, and how many findings there are."""
    return {
        "trainable": sum(_is_trainable(entry) for node in index.nodes for entry in node.tensors),
        "frozen": index.n_frozen[0],
        "tied": sum(entry.tie is not None for node in index.nodes for entry in node.tensors),
        "findings": len(index.findings),
    }


def _named(index: Index, target: str) -> tuple[set[int], set[tuple[int, int]]]:
    found = match(index.tree, target, words=False)
    nodes = {index.number[node.path] for node in found.nodes}
    tensors = {index.tensor_at[entry.path] for entry in found.tensors if entry.path in index.tensor_at}
    for entry in found.tensors:
        resolved = index.resolve(entry.path)
        if entry.path not in index.tensor_at and resolved is not None:
            nodes.add(resolved[1])
    return nodes, tensors


def _of_word(index: Index, word: str) -> tuple[set[int], set[tuple[int, int]]]:
    nodes, tensors = _named(index, word)
    if nodes or tensors or not _GLOB.isdisjoint(word):
        return nodes, tensors
    return _holding(index, word.casefold())


def _holding(index: Index, part: str) -> tuple[set[int], set[tuple[int, int]]]:
    """Return the rows whose own name or class holds ``part``; with a dot in it, those whose path does."""
    nodes, tensors = set(), set()
    whole = "." in part
    for number, node in enumerate(index.nodes):
        path = node.path.casefold()
        start = 0 if whole else path.rfind(".") + 1
        if path.find(part, start) >= 0 or part in node.class_name.casefold():
            nodes.add(number)
        for position, entry in enumerate(node.tensors):
            name = entry.path.casefold()
            start = 0 if whole else name.rfind(".") + 1
            if name.find(part, start) >= 0:
                tensors.add((number, position))
    return nodes, tensors


def _kept(index: Index, nodes: set[int] | None, tensors: set[tuple[int, int]] | None, chips: frozenset[str]) -> Matches:
    if chips:
        holds = _chip_test(index, chips)
        candidates = tensors if tensors is not None else _every_tensor(index)
        tensors = {place for place in candidates if holds(index.entry(*place))}
        if chips == {"findings"}:
            found = {index.number[path] for path in index.findings_at if path in index.number}
            nodes = found if nodes is None else nodes & found
        else:
            nodes = set()
    by_node: dict[int, list[int]] = {}
    for number, position in sorted(tensors or ()):
        by_node.setdefault(number, []).append(position)
    return Matches(
        is_filter=True,
        nodes=frozenset(nodes or ()),
        tensors={number: tuple(positions) for number, positions in by_node.items()},
    )


def _every_tensor(index: Index) -> set[tuple[int, int]]:
    return {(number, k) for number, node in enumerate(index.nodes) for k in range(len(node.tensors))}


def _chip_test(index: Index, chips: frozenset[str]) -> Callable[[TensorEntry], bool]:
    tests: list[Callable[[TensorEntry], bool]] = []
    if ("trainable" in chips) != ("frozen" in chips):
        tests.append(_is_trainable if "trainable" in chips else is_frozen)
    elif "trainable" in chips:
        tests.append(lambda entry: entry.role == "parameter")
    if "tied" in chips:
        tests.append(lambda entry: entry.tie is not None)
    if "findings" in chips:
        tests.append(lambda entry: entry.path in index.findings_at)
    return lambda entry: all(test(entry) for test in tests)


def _is_trainable(entry: TensorEntry) -> bool:
    return entry.role == "parameter" and entry.requires_grad
