"""Counts in which each storage element counts once, for the whole model and for what is below each module.

What several names share is added where each name is and taken off again where their ways from the root part, so that
every subtree counts it once. A subtree with an alias of a module outside it holds that module too, as torch's own
``parameters()`` of it would.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence

from nnwidgets.introspect.safe_access.scan import Reading

Common = tuple[tuple[int, ...], tuple[int, ...]]
"""Slots that share elements, in order, and for each slot how many elements of it these are."""


def total(weights: Sequence[int], shared: Iterable[Common]) -> int:
    """The sum of ``weights`` with what is shared counted once, as its first slot counts it."""
    return sum(weights) - sum(sum(elements[1:]) for _, elements in shared)


def counts(reading: Reading, own: Sequence[int], shared: Sequence[Common]) -> list[int]:
    """What is at and below each row.

    Args:
        reading: The rows.
        own: What the slots of each row hold, added up.
        shared: What slots have in common.
    """
    counted = list(own)
    parents = reading.parents
    for slots, elements in shared:
        before = reading.owner(slots[0])
        for slot, n in zip(slots[1:], elements[1:], strict=True):
            row = reading.owner(slot)
            counted[_parting(reading, before, row)] -= n
            before = row
    for row, parent in zip(range(len(parents) - 1, 0, -1), reversed(parents), strict=False):
        counted[parent] += counted[row]
    if reading.first_met:
        _add_from_outside(reading, counted, shared)
        for row, target in sorted(reading.first_met.items()):
            counted[row] = counted[target]
    return counted


def _parting(reading: Reading, before: int, row: int) -> int:
    """The lowest row above or at both."""
    ends, parents = reading.ends(), reading.parents
    while not before <= row < ends[before]:
        before = parents[before]
    return before


def _add_from_outside(reading: Reading, counted: list[int], shared: Sequence[Common]) -> None:
    """Add to each row what it reaches only through an alias or a cycle out of its subtree."""
    reached = _reached(reading)
    if not reached:
        return
    members = [(slots, [reading.owner(slot) for slot in slots], elements) for slots, elements in shared]
    inside = {row: counted[row] for row in reached}
    outside = {target for targets in reached.values() for target in targets}
    inside.update((row, counted[row]) for row in outside)
    for row in reached:
        spans = _spans(reading, row, reached)
        begins = [begin for begin, _ in spans]
        n = sum(inside.setdefault(begin, counted[begin]) for begin in begins)
        if len(spans) > 1:
            n -= sum(_across(spans, begins, owners, elements) for _, owners, elements in members)
        counted[row] = n


def _reached(reading: Reading) -> dict[int, set[int]]:
    """For each row, the rows outside its subtree that an alias or cycle inside it stands for."""
    ends, parents = reading.ends(), reading.parents
    reached: dict[int, set[int]] = {}
    for row in sorted(reading.first_met, reverse=True):
        reached[row] = {reading.first_met[row]}
    for row in range(len(parents) - 1, 0, -1):
        targets = reached.get(row)
        if targets:
            above = parents[row]
            out = {target for target in targets if not above <= target < ends[above]}
            if out:
                reached.setdefault(above, set()).update(out)
    return {row: targets for row, targets in reached.items() if row not in reading.first_met}


def _spans(reading: Reading, row: int, reached: dict[int, set[int]]) -> list[tuple[int, int]]:
    """The subtrees that a row holds, through aliases too, none inside another."""
    ends = reading.ends()
    waiting, met = [row], {row}
    while waiting:
        for target in reached.get(waiting.pop(), ()):
            if target not in met:
                met.add(target)
                waiting.append(target)
    spans: list[tuple[int, int]] = []
    for begin in sorted(met):
        if not spans or begin >= spans[-1][1]:
            spans.append((begin, ends[begin]))
    return spans


def _across(spans: list[tuple[int, int]], begins: list[int], owners: list[int], elements: Sequence[int]) -> int:
    """What is counted in more than one of the subtrees."""
    twice, met, last = 0, False, -1
    for owner, n in zip(owners, elements, strict=True):
        at = bisect_left(begins, owner + 1) - 1
        if at < 0 or owner >= spans[at][1]:
            continue
        if met and at != last:
            twice += n
        met, last = True, at
    return twice
