"""Adding up a scan: parameters, trainable ones and bytes, each element once, and where torch's own sum differs."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import accumulate, compress, islice, pairwise, repeat
from operator import sub
from typing import Any

import torch

from nnwidgets.formatting import inert
from nnwidgets.introspect.module_tree.tensor_metadata import TensorTable, freed_reason
from nnwidgets.introspect.safe_access.scan import ModelScan
from nnwidgets.introspect.sharing.addresses import AddressIntervals
from nnwidgets.introspect.sharing.ties import Shared, SlotGroup

_BASE: Any = torch._C.TensorBase  # noqa: SLF001 - its methods can't be overridden by a subclass or an instance

_MOST_NAMED = 3


class ParameterCounts:
    """Counts of one scan.

    Attributes:
        odd: Slots whose tensor may have fewer distinct elements than its shape says.
        repeated: Slots with elements that belong to an earlier slot of the same kind (parameter or not).
        weights: Distinct parameter elements of each slot; 0 for other roles.
    """

    def __init__(
        self, scan: ModelScan, addresses: AddressIntervals, groups: Sequence[SlotGroup], table: TensorTable
    ) -> None:
        """Work out what is shared."""
        self._scan = scan
        self._addresses = addresses
        self._table = table
        self._uncountable: dict[int, str] = {}
        self.odd = addresses.odd
        self.weights = [kind.n_elements for kind in table.kinds]
        for slot in self.odd:
            self.weights[slot] = self.distinct(slot)
        for row, (at_buffers, _) in scan.splits.items():
            end = scan.first_slot[row + 1]
            self.weights[at_buffers:end] = repeat(0, end - at_buffers)
        self._all = [shared for group in groups for shared in group.shared]
        self._of_params: list[Shared] = []
        self.repeated: dict[int, list[Shared]] = {}
        for shared in self._all:
            params = tuple(slot for slot in shared.slots if self._is_parameter(slot))
            others = tuple(slot for slot in shared.slots if not self._is_parameter(slot))
            if len(params) > 1:
                self._of_params.append(Shared(params, shared.n_bytes, shared.whole))
            for slot in (*params[1:], *others[0 if params else 1 :]):
                self.repeated.setdefault(slot, []).append(shared)

    def _is_parameter(self, slot: int) -> bool:
        return self._role(slot) == "parameter"

    def _itemsize(self, slot: int) -> int:
        return int(_BASE.element_size(self._addresses.tensors[slot]))

    def distinct(self, slot: int) -> int:
        """How many distinct elements a tensor has: fewer than its shape says where they lie over one another."""
        kind = self._table.kinds[slot]
        n_bytes = self._distinct_bytes(slot)
        if not n_bytes or slot not in self.odd or slot in self._table.held or kind.layout != "strided":
            return kind.n_elements
        return min(kind.n_elements, n_bytes // self._itemsize(slot))

    def _distinct_bytes(self, slot: int) -> int:
        return self._addresses.n_bytes(slot) or self.odd[slot]

    def n_new(self, slot: int) -> int:
        """How many elements of a slot no earlier one has."""
        n = self.distinct(slot)
        for shared in self.repeated[slot]:
            n -= self._elements(shared, slot)
        return max(n, 0)

    def _role(self, slot: int) -> str:
        return self._scan.role(slot, self._scan.owner(slot))

    def freed_reasons(self) -> dict[int, str]:
        """For tensors that should have an address and have none: that their storage was given back."""
        if 0 not in self._addresses.starts:
            return {}
        kinds, found = self._table.kinds, {}
        for slot, start in enumerate(islice(self._addresses.starts, len(kinds))):
            if not start and kinds[slot].size_bytes and kinds[slot].device != "meta":
                why = freed_reason(self._addresses.tensors[slot])
                if why:
                    found[slot] = why
        return found

    def mark_uncountable(self, row: int, why: str) -> None:
        """Note why torch can't add up what is at and below a row."""
        while row >= 0 and row not in self._uncountable:
            self._uncountable[row] = why
            row = self._scan.parents[row]

    def _common(self) -> list[Common]:
        return [
            (shared.slots, tuple(self._elements(shared, slot) for slot in shared.slots)) for shared in self._of_params
        ]

    def _elements(self, shared: Shared, slot: int) -> int:
        """How many elements of a slot lie in shared bytes."""
        held = self._table.held
        kind = held[slot].kind if slot in held else self._table.kinds[slot].layout
        with_wholes = kind == "shard" and any(each not in held for each in shared.slots)
        if shared.whole and not with_wholes:
            return self.distinct(slot)
        if kind in {"shard", "codes", "strided"}:
            return shared.n_bytes // self._itemsize(slot)
        # Of scales or indices alone no element is made; of packed codes as many as they are.
        return shared.n_bytes * held[slot].n_elements // held[slot].local_bytes if kind == "packed" else 0

    def n_trainable(self) -> int:
        """Parameter elements that some name asks gradients for, each once."""
        asking = self._table.asking
        n = sum(compress(self.weights, asking))
        for shared in self._of_params:
            mine = [slot for slot in shared.slots if asking[slot]]
            n -= sum(self._elements(shared, slot) for slot in mine[1:])
        return n

    def size_bytes(self, *, local: bool = False) -> int:
        """Bytes of all tensors, each once; of what this process holds of them where asked."""
        sizes = self._sizes(local=local)
        return total(sizes, self._common_bytes(sizes, self._all))

    def bytes_by_row(self, *, parameters: bool = False) -> list[int]:
        """Bytes at and below each row that this process holds, each once; of its parameters alone where asked."""
        sizes = self._sizes(local=True)
        if parameters:
            sizes = [size if self._is_parameter(slot) else 0 for slot, size in enumerate(sizes)]
        shared = self._of_params if parameters else self._all
        return counts(self._scan, self._by_row(sizes), self._common_bytes(sizes, shared))

    def _sizes(self, *, local: bool) -> list[int]:
        """By slot, the bytes of each tensor by itself."""
        sizes, shards, freed = list(self._table.sizes), self._shards(), self.freed_reasons()
        for slot in self.odd:
            if slot not in shards and slot not in freed:
                sizes[slot] = self._distinct_bytes(slot) or sizes[slot]
        for slot, n_bytes in shards.items() if local else ():
            sizes[slot] = n_bytes
        for slot in freed:
            # FSDP1 keeps views of the flat parameter, whose memory it gives back, beside it.
            if local or self._role(slot) == "unregistered":
                sizes[slot] = 0
        return sizes

    def _shards(self) -> dict[int, int]:
        return {slot: each.local_bytes for slot, each in self._table.held.items() if each.kind == "shard"}

    def _common_bytes(self, sizes: Sequence[int], of: Sequence[Shared]) -> list[Common]:
        shards = self._shards()
        made: list[Common] = []
        for shared in of:
            in_full = not shared.n_bytes or (shared.whole and all(slot in shards for slot in shared.slots))
            made.append((shared.slots, tuple(sizes[slot] if in_full else shared.n_bytes for slot in shared.slots)))
        return made

    def _by_row(self, of_slots: Sequence[int]) -> list[int]:
        """Sums over the slots of each row."""
        up_to = [0, *accumulate(of_slots)]
        at = [up_to[slot] for slot in self._scan.first_slot]
        return list(map(sub, islice(at, 1, None), at))

    def counts(self) -> tuple[list[int], Sequence[int | None], dict[int, str]]:
        """By row: parameters, parameters as torch adds them up (None where it can't), and why these differ."""
        n_params = counts(self._scan, self._by_row(self.weights), self._common())
        if not self._uncountable and not self._differs():
            return n_params, n_params, {}
        n_torch: list[int | None] = list(self._as_torch() if self._differs() else n_params)
        whys: dict[int, str] = {}
        for row, why in self._uncountable.items():
            n_torch[row] = None
            whys[row] = f"torch's own parameters() can't be added up here: {why}"
        reasons = self._reasons()
        for row, (ours, torchs) in enumerate(zip(n_params, n_torch, strict=True)):
            if torchs is not None and ours != torchs:
                named = reasons[row] or "tensors that share memory are counted under each name"
                whys[row] = f"torch's own parameters() adds up to {torchs:,}: {named}"
        return n_params, n_torch, whys

    def _differs(self) -> bool:
        """Whether some elements are shared otherwise than by one Parameter under several names, or repeated."""
        values = self._scan.slot_values
        return any(self.weights[slot] != n for slot, n in self._as_listed().items()) or any(
            any(values[slot] is not values[shared.slots[0]] for slot in shared.slots) for shared in self._of_params
        )

    def _as_listed(self) -> dict[int, int]:
        """For parameters that torch may count otherwise: how many elements it counts."""
        slots = {*self.odd, *self._table.held} if self._table.held else self.odd
        return {slot: int(_BASE.numel(self._addresses.tensors[slot])) for slot in slots if self.weights[slot]}

    def _as_torch(self) -> list[int]:
        """What ``sum(p.numel() for p in m.parameters())`` gives: each Parameter object once, in full."""
        scan = self._scan
        full = list(self.weights)
        for slot, n in self._as_listed().items():
            full[slot] = n
        own = self._by_row(full)
        holders: dict[int, set[int]] = {}
        for shared in self._of_params:
            for slot in shared.slots:
                holders.setdefault(id(scan.slot_values[slot]), set()).add(slot)
        same = [(tuple(sorted(slots)), (full[min(slots)],) * len(slots)) for slots in holders.values()]
        return counts(scan, own, same)

    def _reasons(self) -> list[str]:
        """By row: what at and below it torch counts otherwise, the first few of it by name."""
        scan = self._scan
        # The lowest rows that hold all of a reason, by the reason's text.
        rows_of: dict[str, set[int]] = {}
        for shared in self._of_params:
            names = " and ".join(inert(scan.slot_path(slot)) for slot in shared.slots[:_MOST_NAMED])
            rows = map(scan.owner, shared.slots)
            held = rows_of.setdefault(f"{names} share memory", set())
            held.update(_common_ancestor(scan, before, row) for before, row in pairwise(rows))
        for slot, n in self._as_listed().items():
            if n != self.weights[slot]:
                holder = self._table.held.get(slot)
                what = f"is {holder.how}" if holder else "repeats elements"
                rows_of.setdefault(f"{inert(scan.slot_path(slot))} {what}", set()).add(scan.owner(slot))
        n_reasons = [0] * len(scan.parents)
        first: list[list[int]] = [[] for _ in scan.parents]
        for number, found in enumerate(rows_of.values()):
            rows_in_order = sorted(found)
            for row in rows_in_order:
                n_reasons[row] += 1
                first[row].append(number)
            for before, row in pairwise(rows_in_order):
                n_reasons[_common_ancestor(scan, before, row)] -= 1
        for row in range(len(first) - 1, 0, -1):
            above = scan.parents[row]
            n_reasons[above] += n_reasons[row]
            first[above] = sorted({*first[above][:_MOST_NAMED], *first[row][:_MOST_NAMED]})
        texts = list(rows_of)
        return [
            "; ".join(texts[number] for number in numbers[:_MOST_NAMED])
            + (f"; and {n - _MOST_NAMED} more" if n > _MOST_NAMED else "")
            for numbers, n in zip(first, n_reasons, strict=True)
        ]


Common = tuple[tuple[int, ...], tuple[int, ...]]
"""Slots that share elements, in order, and for each slot how many elements of it these are."""


def total(weights: Sequence[int], shared: Iterable[Common]) -> int:
    """The sum of ``weights`` with what is shared counted once, as its first slot counts it."""
    return sum(weights) - sum(sum(elements[1:]) for _, elements in shared)


def counts(scan: ModelScan, own: Sequence[int], shared: Sequence[Common]) -> list[int]:
    """What is at and below each row.

    Args:
        scan: The rows.
        own: What the slots of each row hold, added up.
        shared: What slots have in common.
    """
    counted = list(own)
    parents = scan.parents
    for slots, elements in shared:
        before = scan.owner(slots[0])
        for slot, n in zip(slots[1:], elements[1:], strict=True):
            row = scan.owner(slot)
            counted[_common_ancestor(scan, before, row)] -= n
            before = row
    for row, parent in zip(range(len(parents) - 1, 0, -1), reversed(parents), strict=False):
        counted[parent] += counted[row]
    if scan.first_met:
        _add_from_outside(scan, counted, shared)
        for row, target in sorted(scan.first_met.items()):
            counted[row] = counted[target]
    return counted


def _common_ancestor(scan: ModelScan, before: int, row: int) -> int:
    """The lowest row above or at both."""
    ends, parents = scan.ends(), scan.parents
    while not before <= row < ends[before]:
        before = parents[before]
    return before


def _add_from_outside(scan: ModelScan, counted: list[int], shared: Sequence[Common]) -> None:
    """Add to each row what it reaches only through an alias or a cycle out of its subtree."""
    reached = _rows_reached(scan)
    if not reached:
        return
    members = [(slots, [scan.owner(slot) for slot in slots], elements) for slots, elements in shared]
    inside = {row: counted[row] for row in reached}
    outside = {target for targets in reached.values() for target in targets}
    inside.update((row, counted[row]) for row in outside)
    for row in reached:
        spans = _spans(scan, row, reached)
        begins = [begin for begin, _ in spans]
        n = sum(inside.setdefault(begin, counted[begin]) for begin in begins)
        if len(spans) > 1:
            n -= sum(_counted_twice(spans, begins, owners, elements) for _, owners, elements in members)
        counted[row] = n


def _rows_reached(scan: ModelScan) -> dict[int, set[int]]:
    """For each row, the rows outside its subtree that an alias or cycle inside it stands for."""
    ends, parents = scan.ends(), scan.parents
    reached: dict[int, set[int]] = {}
    for row in sorted(scan.first_met, reverse=True):
        reached[row] = {scan.first_met[row]}
    for row in range(len(parents) - 1, 0, -1):
        targets = reached.get(row)
        if targets:
            above = parents[row]
            out = {target for target in targets if not above <= target < ends[above]}
            if out:
                reached.setdefault(above, set()).update(out)
    return {row: targets for row, targets in reached.items() if row not in scan.first_met}


def _spans(scan: ModelScan, row: int, reached: dict[int, set[int]]) -> list[tuple[int, int]]:
    """The subtrees that a row holds, through aliases too, none inside another."""
    ends = scan.ends()
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


def _counted_twice(spans: list[tuple[int, int]], begins: list[int], owners: list[int], elements: Sequence[int]) -> int:
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
