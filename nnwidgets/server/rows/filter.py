"""What the filter box and the chips keep: rows of the whole tree, shown before or not.

`flatten` shows what is kept; a change that is aimed at the filter's rows asks here too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from nnwidgets.errors import NNWidgetsError
from nnwidgets.introspect.records import TensorEntry
from nnwidgets.server.rows.filter_words import Kept, below, is_trainable, kept_by, target_rows
from nnwidgets.server.rows.tree_index import TreeIndex, is_frozen
from nnwidgets.wire.schema.tree import ChipCounts


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

    A word holds for what it names and for all below; kept is what a word names itself and for which all the others
    hold. With a condition among the words tensors alone are kept. Of the chips ``trainable`` and ``frozen`` chosen
    together keep both, and so do ``findings`` and ``notes``. The words: `filter_words`.
    """
    words = text.split()
    if not words and not chips:
        return Matches()
    nodes: set[int] | None = None
    tensors: set[int] | None = None
    try:
        whole = target_rows(index, text.strip()) if len(words) > 1 else (set(), set())
        found = [Kept(*whole)] if any(whole) else [kept_by(index, word) for word in words]
    except NNWidgetsError as error:
        return Matches(problem=error.message)
    if found:
        nodes, tensors = _all_hold(index, found)
    return _combine(index, nodes, tensors, chips)


def _all_hold(index: TreeIndex, found: list[Kept]) -> tuple[set[int], set[int]]:
    """Return the modules and tensors that a word names and for which all words hold."""
    if len(found) == 1:
        return found[0].nodes, found[0].tensors
    named = [each for each in found if not each.is_condition]
    conditions = [each.tensors for each in found if each.is_condition]
    reached = [below(index, each.nodes) for each in named]
    nodes = set().union(*(each.nodes for each in named)).intersection(*(inside for inside, _ in reached))
    within = [each.tensors | inside for each, (_, inside) in zip(named, reached, strict=True)]
    if conditions:
        return set(), set.intersection(*within, *conditions)
    return nodes, set().union(*(each.tensors for each in named)).intersection(*within)


def chip_counts(index: TreeIndex) -> ChipCounts:
    """Return how many tensors are trainable, frozen and tied, and how many findings and notes there are."""
    n_notes = sum(finding.severity == "note" for finding in index.findings)
    return {
        "trainable": sum(map(is_trainable, index.tensors)),
        "frozen": index.n_frozen[0],
        "tied": sum(index.tie(entry) is not None for entry in index.tensors),
        "findings": len(index.findings) - n_notes,
        "notes": n_notes,
    }


def _combine(index: TreeIndex, nodes: set[int] | None, tensors: set[int] | None, chips: frozenset[str]) -> Matches:
    if chips:
        kept = set(range(len(index.tensors))) if tensors is None else tensors
        for chip_set in _chip_sets(index, chips):
            kept = kept & chip_set
        tensors = kept
        found = {index.number[path] for path in _findings_of(index, chips) if path in index.number}
        nodes = set() if chips - _BY_FINDING else found if nodes is None else nodes & found
    return Matches(is_filter=True, nodes=frozenset(nodes or ()), tensors=frozenset(tensors or ()))


def _chip_sets(index: TreeIndex, chips: frozenset[str]) -> Iterator[set[int]]:
    """Give the tensors that each chip keeps; trainable and frozen together keep what either does."""
    chosen = [test for chip, test in _BY_STATE.items() if chip in chips]
    if chosen:
        yield {number for number, entry in enumerate(index.tensors) if any(test(entry) for test in chosen)}
    if "tied" in chips:
        yield {number for number, entry in enumerate(index.tensors) if index.tie(entry) is not None}
    if chips & _BY_FINDING:
        yield {index.tensor_at[path] for path in _findings_of(index, chips) if path in index.tensor_at}


def _findings_of(index: TreeIndex, chips: frozenset[str]) -> Iterator[str]:
    """Give the paths with findings of the kinds chosen."""
    for path, findings in index.findings_at.items():
        if chips & {"notes" if finding.severity == "note" else "findings" for finding in findings}:
            yield path


_BY_FINDING = frozenset({"findings", "notes"})
_BY_STATE: dict[str, Callable[[TensorEntry], bool]] = {"trainable": is_trainable, "frozen": is_frozen}
