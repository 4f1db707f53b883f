"""The further names that tensors have because a module on their path is registered more than once."""

from __future__ import annotations

from typing import NamedTuple

from nnwidgets.introspect import paths
from nnwidgets.introspect.safe_access.scan import ModelScan

MOST_PER_TENSOR = 64
"""Diamonds of shared modules double the names at each level; those beyond are left out."""

MOST_IN_ALL = 100_000


class Name(NamedTuple):
    """A name of a slot.

    Attributes:
        order: Rows on the way to it; compares as the walk goes.
        path: The name.
    """

    order: tuple[int, ...]
    path: str


def own_name(scan: ModelScan, slot: int) -> Name:
    """The name at which a slot is met first."""
    row = scan.owner(slot)
    return Name((row, slot), paths.join(scan.path(row), scan.slot_name(slot, row)))


def names_through_aliases(scan: ModelScan) -> dict[int, list[Name]]:
    """By slot, the names it has beyond its own, at most `MOST_PER_TENSOR`; cycles, which name without end, left out."""
    aliases: dict[int, list[int]] = {}
    for row, target in scan.first_met.items():
        if not scan.is_cycle(row):
            aliases.setdefault(target, []).append(row)
    if not aliases:
        return {}
    nearest = _nearest(scan, aliases)
    ends, names, left = scan.ends(), {}, MOST_IN_ALL
    covered = -1
    for target in sorted(aliases):
        for slot in range(max(covered, scan.first_slot[target]), scan.first_slot[ends[target]]):
            if scan.slot_values[slot] is not None:
                names[slot] = _names(scan, slot, aliases, nearest)[:left]
                left -= len(names[slot])
        covered = max(covered, scan.first_slot[ends[target]])
    return names


def _nearest(scan: ModelScan, aliases: dict[int, list[int]]) -> list[int]:
    """For each row, the nearest row at or above it that has an alias; -1 without one."""
    nearest: list[int] = []
    for row, parent in enumerate(scan.parents):
        nearest.append(row if row in aliases else nearest[parent] if parent >= 0 else -1)
    return nearest


def _names(scan: ModelScan, slot: int, aliases: dict[int, list[int]], nearest: list[int]) -> list[Name]:
    owner = scan.owner(slot)
    found: list[Name] = []
    waiting: list[tuple[int, tuple[int, ...], str]] = [(owner, (owner, slot), scan.slot_name(slot, owner))]
    while waiting and len(found) < MOST_PER_TENSOR:
        row, order, below = waiting.pop()
        target = nearest[row]
        while target >= 0 and len(found) < MOST_PER_TENSOR:
            between = scan.path(row)[len(scan.path(target)) :].removeprefix(".")
            suffix = paths.join(between, below)
            for alias in aliases[target]:
                found.append(Name((alias, *order), paths.join(scan.path(alias), suffix)))
                waiting.append((alias, (alias, *order), suffix))
            target = nearest[scan.parents[target]] if target else -1
    return found
