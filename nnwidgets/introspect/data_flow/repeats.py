"""Which nodes in a row do the same over and over, wired alike, so that one can stand for all.

Nothing is folded that would tell of a way that isn't there: what enters only the first and what leaves only the last
has to be joined by the chain from each to the next.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property, partial
from typing import Any, NamedTuple

from nnwidgets.introspect.data_flow.call_tree import CallTree
from nnwidgets.introspect.records import TraceCall
from nnwidgets.introspect.safe_access.scan import gc_paused

_FEWEST = 3
_LONGEST = 16

_Ports = frozenset[tuple[Any, ...]]


class Repeat(NamedTuple):
    """Units in a row that are alike; each takes up as many numbers as the first.

    Attributes:
        first: Number of the first node of the first unit.
        size: Numbers that a unit takes up.
        n: How many units.
        items: The nodes that make up the first unit, what is in them aside.
    """

    first: int
    size: int
    n: int
    items: tuple[int, ...]


class Part(NamedTuple):
    """What is in a box and stands alone or for a row: a node, or the units that repeat.

    Attributes:
        first: Number of the first node.
        last: Number of the last of those directly in the box.
        repeat: The row; None of a node.
    """

    first: int
    last: int
    repeat: Repeat | None = None


class Repeats:
    """Finds what repeats in the boxes of a tree.

    Args:
        tree: The tree.
        folds: Whether to find anything.
    """

    def __init__(self, tree: CallTree, *, folds: bool = True) -> None:
        self._tree = tree
        self._folds = folds
        self._parts: dict[int, list[Part]] = {}

    def parts(self, box: int) -> Sequence[Part]:
        """What is directly in a box, first to last; of -1, in none, where nothing is one."""
        if box not in self._parts:
            with gc_paused():
                rows = self._search(box) if self._folds and box >= 0 else ()
                self._parts[box] = list(self._around(box, rows))
        return self._parts[box]

    def _around(self, box: int, rows: Iterable[Repeat]) -> Iterator[Part]:
        firsts = {row.first: row for row in rows}
        behind = 0
        for child in self._tree.children(box):
            if child >= behind:
                row = firsts.get(child)
                last = child if row is None else row.items[-1] + (row.n - 1) * row.size
                yield Part(child, last, row)
                behind = last + 1

    @cached_property
    def _kinds(self) -> list[int]:
        return _kinds(self._tree)

    def _search(self, box: int) -> Iterator[Repeat]:
        items = list(self._tree.children(box))
        kinds = [self._kinds[item] for item in items]
        at = 0
        while at < len(items):
            found: list[Repeat] = []
            n_seen = 1
            for period in range(1, min(_LONGEST, (len(items) - at) // _FEWEST) + 1):
                is_alike = kinds[at] == kinds[at + period] and _are_alike(kinds, at, period, 1)
                if not is_alike or any(period % len(each.items) == 0 for each in found):
                    continue
                unit = items[at : at + period]
                if not self._may_repeat(unit[0], self._size(unit)):
                    continue
                n_alike, n = self._wired_alike(unit, partial(_are_alike, kinds, at, period))
                n_seen = max(n_seen, (n_alike - 1) * period)
                if n >= _FEWEST:
                    found.append(Repeat(unit[0], self._size(unit), n, tuple(unit)))
            best = max(found, key=lambda each: each.n * each.size, default=None)
            if best is not None:
                yield best
            at += n_seen if best is None else best.n * len(best.items)

    def _may_repeat(self, first: int, size: int) -> bool:
        """Whether the first three units give and take as many tensors as they have to, where they repeat."""
        tree, second, third = self._tree, first + size, first + 2 * size
        behind = min(third + size, len(tree))
        is_given_alike = tree.n_given(first, second) == tree.n_given(second, third)
        return is_given_alike and tree.n_taken(second, third) == tree.n_taken(third, behind)

    def _size(self, unit: Sequence[int]) -> int:
        return self._tree.ends[unit[-1]] - unit[0]

    def _wired_alike(self, unit: Sequence[int], is_alike: Callable[[int], bool]) -> tuple[int, int]:
        """How many units in a row are wired alike but for the ends, and how many of them one can stand for.

        Args:
            unit: The nodes of the first.
            is_alike: Whether the ``n``-th behind it is as the first, wires aside.
        """
        first, size = unit[0], self._size(unit)
        outs, inside = self._outs(first, size, 0), self._inside(first, size)
        ins: _Ports = frozenset()
        n = 1
        while is_alike(n):
            into = self._ins(first, size, n)
            if n == 1:
                ins = into
            if into != ins or any(port[0] == "back" for port in into) or self._outs(first, size, n - 1) != outs:
                break
            if self._inside(first + n * size, size) != inside:
                break
            n += 1
        links = frozenset(port for port in ins if port[0] == "link")
        always = ins - links
        ins_of_first, outs_of_last = self._ins(first, size, 0), self._outs(first, size, n - 1, is_last=True)
        if n < _FEWEST or not (outs_of_last >= outs and ins_of_first >= always):
            return min(n, 2), 0
        ways = _Ways(
            {(self._item(unit, first + port[0]), self._item(unit, first + port[1])) for port in inside},
            {(self._item(unit, first + port[1]), self._item(unit, first + port[2])) for port in links},
        )
        enters = {self._item(unit, first + port[2]) for port in ins_of_first - always}
        leaves = {self._item(unit, first + port[0]) for port in outs_of_last - outs}
        return n, n if ways.are_told_by_one(n, len(unit), enters, leaves) else 0

    def _item(self, unit: Sequence[int], number: int) -> int:
        return bisect_right(unit, number) - 1

    def _inside(self, start: int, size: int) -> _Ports:
        """What flows within a unit."""
        return frozenset(
            (source - start, target - start, *what)
            for source, target, *what in self._tree.out_of(start, start + size)
            if start <= target < start + size
        )

    def _ins(self, first: int, size: int, at: int) -> _Ports:
        """What enters a unit: from the one before, from one before that, from elsewhere."""
        start = first + at * size
        found = set()
        for source, target, *what in self._tree.into_all(start, start + size):
            if start <= source < start + size:
                continue
            if start - size <= source < start and at:
                end: tuple[Any, ...] = ("link", source - (start - size))
            elif first <= source < start:
                end = ("back", source - first)
            else:
                end = ("from", source)
            found.add((*end, target - start, *what))
        return frozenset(found)

    def _outs(self, first: int, size: int, at: int, *, is_last: bool = False) -> _Ports:
        """What leaves a unit, but for the next one."""
        start = first + at * size
        behind = start + (size if is_last else 2 * size)
        return frozenset(
            (source - start, target, *what)
            for source, target, *what in self._tree.out_of(start, start + size)
            if not start <= target < behind
        )


class _Ways(NamedTuple):
    """The ways through units in a row, between their items: within one, and from one to the next."""

    inside: set[tuple[int, int]]
    links: set[tuple[int, int]]

    def are_told_by_one(self, n: int, n_items: int, enters: set[int], leaves: set[int]) -> bool:
        """Whether one unit, linked to itself, tells of no way that ``n`` in a row haven't.

        Args:
            n: How many units are in the row.
            n_items: How many items a unit has.
            enters: Items that something enters in the first unit alone.
            leaves: Items that something leaves in the last unit alone.
        """
        for start in range(n_items):
            reached = self._follow(self.inside, {start}, is_all=True)
            ever = set(reached)
            for step in range(1, max(n, n_items + 1)):
                before = reached
                reached = self._follow(self.inside, self._follow(self.links, reached), is_all=True)
                if step < n:
                    ever |= reached
                elif not reached <= ever:
                    return False
                if reached == before:
                    break
            if start in enters and (reached & leaves) != (ever & leaves):
                return False
        return True

    @staticmethod
    def _follow(ways: set[tuple[int, int]], items: set[int], *, is_all: bool = False) -> set[int]:
        """What these lead to; with ``is_all`` themselves and whatever that leads to."""
        found = {target for source, target in ways if source in items}
        while is_all and not found <= items:
            items = items | found
            found = {target for source, target in ways if source in items}
        return items if is_all else found


def _are_alike(kinds: Sequence[int], at: int, period: int, n: int) -> bool:
    """Whether of units of so many nodes the first and the ``n``-th behind it are of the same kinds."""
    other = at + n * period
    return kinds[at : at + period] == kinds[other : other + period]


def _kinds(tree: CallTree) -> list[int]:
    """A number for each node, the same for those that are alike inside: classes, names, settings, shapes, wires."""
    things, parents = tree.things, tree.parents
    wires: defaultdict[int, list[Any]] = defaultdict(list)
    for source, target, *what in tree.wires:
        box = parents[source]
        if box != parents[target]:
            box = _common(parents, box, parents[target])
        if box >= 0:
            wires[box].append((source - box, target - box, *what))
    inside: defaultdict[int, list[Any]] = defaultdict(list)
    known: dict[Any, int] = {}
    kinds = [0] * len(tree)
    for number in reversed(range(len(tree))):
        thing, parent = things[number], parents[number]
        said: tuple[Any, ...]
        if isinstance(thing, TraceCall):
            # Where the work isn't the same, neither is what does it: attributes don't tell all.
            said = thing.class_name, thing.settings, thing.flops, thing.output_shapes, thing.output_dtypes
            if number in inside:
                said += *inside.pop(number), "wires", *sorted(wires.pop(number, ()))
        else:
            said = thing.kind, thing.name
        kinds[number] = known.setdefault(said, len(known))
        if parent >= 0:
            inside[parent].append((_name_within(things[parent], thing), kinds[number]))
    return kinds


def _common(parents: Sequence[int], one: int, other: int) -> int:
    """The innermost box that two are or are in; -1 where there is none."""
    while one != other:
        if one > other:
            one = parents[one]
        else:
            other = parents[other]
    return one


def _name_within(outer: Any, inner: Any) -> str:
    """How a call's module is named by the one around it; the whole path where it isn't in that."""
    if not isinstance(inner, TraceCall):
        return ""
    n, path = len(outer.path), inner.path
    return path[n + 1 :] if n and path[n : n + 1] == "." and path.startswith(outer.path) else path
