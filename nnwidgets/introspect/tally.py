"""Adding up a reading: parameters, trainable ones and bytes, each element once, and where torch's own sum differs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Any

import torch

from nnwidgets.introspect.counting import Common, counts
from nnwidgets.introspect.labels import inert
from nnwidgets.introspect.placement import Placement
from nnwidgets.introspect.reading import Reading
from nnwidgets.introspect.storage import Shared, SlotGroup

_BASE: Any = torch._C.TensorBase  # noqa: SLF001 - its methods can't be overridden by a subclass or an instance

_MOST_NAMED = 3


class Tally:
    """Counts of one reading; `walk` fills in weights, sizes, own and trainable as it goes over the slots.

    Attributes:
        starts: Address of each slot's tensor, 0 without one.
        odd: Slots whose tensor may have fewer distinct elements than its shape says.
        repeated: Slots with elements that belong to an earlier slot of the same kind (parameter or not).
        weights: Distinct parameter elements of each slot; 0 for other roles.
        sizes: Bytes of each slot's elements.
        own: For each row, the weights of its slots, added up.
        trainable: Slots of parameters that ask for gradients.
    """

    def __init__(self, reading: Reading, placement: Placement, groups: Sequence[SlotGroup]) -> None:
        """Work out what is shared."""
        self._reading = reading
        self._placement = placement
        self._spoilt: dict[int, str] = {}
        self.starts = placement.starts
        self.odd = placement.odd
        self.weights = [0] * placement.n_tensors
        self.sizes = [0] * placement.n_tensors
        self.own: list[int] = []
        self.trainable: list[int] = []
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
        return self._reading.role(slot, self._reading.owner(slot)) == "parameter"

    def _itemsize(self, slot: int) -> int:
        return int(_BASE.element_size(self._placement.tensors[slot]))

    def distinct(self, slot: int, n_elements: int) -> int:
        """How many distinct elements a tensor of overlapping elements has."""
        n_bytes = self._distinct_bytes(slot)
        return min(n_elements, n_bytes // self._itemsize(slot)) if n_bytes else n_elements

    def _distinct_bytes(self, slot: int) -> int:
        return self._placement.n_bytes(slot) or self.odd[slot]

    def n_new(self, slot: int, n_elements: int) -> int:
        """How many elements of a slot no earlier one has."""
        n = n_elements
        for shared in self.repeated[slot]:
            n -= n_elements if shared.whole else shared.n_bytes // self._itemsize(slot)
        return max(n, 0)

    def spoil(self, row: int, why: str) -> None:
        """Note why torch can't add up what is at and below a row."""
        while row >= 0 and row not in self._spoilt:
            self._spoilt[row] = why
            row = self._reading.parents[row]

    def _common(self) -> list[Common]:
        return [
            (shared.slots, tuple(self._elements(shared, slot) for slot in shared.slots)) for shared in self._of_params
        ]

    def _elements(self, shared: Shared, slot: int) -> int:
        return self.weights[slot] if shared.whole else shared.n_bytes // self._itemsize(slot)

    def n_trainable(self) -> int:
        """Parameter elements that some name asks gradients for, each once."""
        n = sum(map(self.weights.__getitem__, self.trainable))
        if self._of_params:
            asking = set(self.trainable)
            for shared in self._of_params:
                mine = [slot for slot in shared.slots if slot in asking]
                n -= sum(self._elements(shared, slot) for slot in mine[1:])
        return n

    def size_bytes(self) -> int:
        """Bytes of all tensors, each once."""
        n = sum(self.sizes)
        for slot in self.odd:
            n -= self.sizes[slot] - (self._distinct_bytes(slot) or self.sizes[slot])
        for shared in self._all:
            n -= sum(shared.n_bytes or self.sizes[slot] for slot in shared.slots[1:])
        return n

    def counts(self) -> tuple[list[int], Sequence[int | None], dict[int, str]]:
        """By row: parameters, parameters as torch adds them up (None where it can't), and why these differ."""
        n_params = counts(self._reading, self.own, self._common())
        if not self._spoilt and not self._differs():
            return n_params, n_params, {}
        n_torch: list[int | None] = list(self._as_torch() if self._differs() else n_params)
        whys: dict[int, str] = {}
        for row, why in self._spoilt.items():
            n_torch[row] = None
            whys[row] = f"torch's own parameters() can't be added up here: {why}"
        for row, (ours, torchs) in enumerate(zip(n_params, n_torch, strict=True)):
            if torchs is not None and ours != torchs:
                whys[row] = self._why(row, torchs)
        return n_params, n_torch, whys

    def _differs(self) -> bool:
        """Whether some elements are shared otherwise than by one Parameter under several names, or repeated."""
        slots = self._reading.slots
        return any(self.weights[slot] for slot in self.odd) or any(
            any(slots[slot][1] is not slots[shared.slots[0]][1] for slot in shared.slots) for shared in self._of_params
        )

    def _as_torch(self) -> list[int]:
        """What ``sum(p.numel() for p in m.parameters())`` gives: each Parameter object once, in full."""
        reading = self._reading
        full = list(self.weights)
        for slot in self.odd:
            if full[slot]:
                full[slot] = int(_BASE.numel(self._placement.tensors[slot]))
        up_to = [0, *accumulate(full)]
        first = reading.first_slot
        own = [up_to[first[row + 1]] - up_to[first[row]] for row in range(len(reading.modules))]
        holders: dict[int, set[int]] = {}
        for shared in self._of_params:
            for slot in shared.slots:
                holders.setdefault(id(reading.slots[slot][1]), set()).add(slot)
        same = [(tuple(sorted(slots)), (full[min(slots)],) * len(slots)) for slots in holders.values()]
        return counts(reading, own, same)

    def _why(self, row: int, torchs: int) -> str:
        reading = self._reading
        begin, end = reading.first_slot[row], reading.first_slot[reading.ends()[row]]
        reasons = [
            " and ".join(inert(reading.slot_path(slot)) for slot in shared.slots[:_MOST_NAMED]) + " share memory"
            for shared in self._of_params
            if sum(begin <= slot < end for slot in shared.slots) > 1
        ]
        reasons += [f"{inert(reading.slot_path(slot))} repeats elements" for slot in self.odd if begin <= slot < end]
        named = _listed(reasons) or "tensors that share memory are counted under each name"
        return f"torch's own parameters() adds up to {torchs:,}: {named}"


def _listed(reasons: Iterable[str]) -> str:
    listed = list(dict.fromkeys(reasons))
    more = f"; and {len(listed) - _MOST_NAMED} more" if len(listed) > _MOST_NAMED else ""
    return "; ".join(listed[:_MOST_NAMED]) + more
