"""The one reading of a module that trees, ties and look-ups are made from: flat lists of modules and tensors.

The walk is iterative, looks at each distinct module once, and calls nothing that a user can override. Modules laid
out as ``nn.Module.__init__`` lays them out, nearly all there are, are read by a few list operations of the
interpreter; the rest by `irregular.parts`.
"""

from __future__ import annotations

import contextlib
import gc
import types
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from functools import cached_property
from itertools import islice
from typing import Any

import torch

from nnwidgets.introspect import paths
from nnwidgets.introspect.guard import instance_dict, is_module, plain_items, reason, require_module, text_of, type_name
from nnwidgets.introspect.irregular import MOST_ITEMS, STANDARD, Found, found_in, holds_nothing, parts
from nnwidgets.introspect.records import Role

_N_STANDARD = len(STANDARD)

_PLAIN = frozenset(
    id(kind)
    for kind in (
        type(None), bool, int, float, complex, str, bytes, range, set, frozenset, type,
        types.FunctionType, types.BuiltinFunctionType, types.MethodType,
        torch.dtype, torch.device, torch.layout, torch.Size, torch.Generator,
    )
)  # fmt: skip
"""Ids of types that hold no tensor and no module; ids, because a metaclass may say how a class is hashed."""


class Reading:
    """What was found, by row: 0 is the model itself, the rest follow in walk order.

    Attributes:
        rows: For each row the row above it (-1 for row 0), its place among its parent's slots, and its raw key there
            with its object.
        owns: The ``__dict__`` of each; None where that wasn't read directly.
        inner: Rows that may have rows below.
        slots: Name and value of each tensor slot, row by row, empty ones left out.
        first_slot: Where the slots of each row begin; one more than rows.
        splits: For rows that hold more than parameters: where buffers begin, and where unregistered tensors begin.
        first_met: For rows whose module was met before: the row where.
        problems: For rows that couldn't be read in full: why.
        irregular: What `irregular.parts` said of the rows it read: the training flag and the non-persistent names.
        hidden: Modules in plain attributes: the row, the components below it, the object.
    """

    def __init__(self) -> None:
        self.rows: list[tuple[int, int, tuple[Any, Any]]] = []
        self.owns: list[dict[str, Any] | None] = []
        self.inner: list[int] = []
        self.slots: list[tuple[Any, Any]] = []
        self.first_slot: list[int] = []
        self.splits: dict[int, tuple[int, int]] = {}
        self.first_met: dict[int, int] = {}
        self.problems: dict[int, str] = {}
        self.irregular: dict[int, tuple[bool | None, frozenset[str]]] = {}
        self.hidden: list[tuple[int, Found]] = []
        self._paths: dict[int, str] = {0: ""}

    @cached_property
    def modules(self) -> list[Any]:
        """The object of each row."""
        return [item[1] for _, _, item in self.rows]

    @cached_property
    def parents(self) -> list[int]:
        """The row above each; -1 for row 0."""
        return [row[0] for row in self.rows]

    @cached_property
    def keys(self) -> list[Any]:
        """The raw key of each row in its parent."""
        return [item[0] for _, _, item in self.rows]

    @cached_property
    def positions(self) -> list[int]:
        """The place of each row among its parent's slots."""
        return [row[1] for row in self.rows]

    def ends(self) -> list[int]:
        """One past the last row of the subtree of each row."""
        return self._ends

    @cached_property
    def _ends(self) -> list[int]:
        parents = self.parents
        ends = [0] * len(parents)
        for row in range(len(parents) - 1, -1, -1):
            end = ends[row]
            if not end:
                end = ends[row] = row + 1
            if row and not ends[parents[row]]:
                ends[parents[row]] = end
        return ends

    def is_cycle(self, row: int) -> bool:
        """Whether the module of a repeated row is one of its own ancestors."""
        target = self.first_met[row]
        return target <= self.parents[row] < self._ends[target]

    def step(self, row: int) -> str:
        """The last component of a row's path."""
        _, position, (key, _) = self.rows[row]
        return step(key, position)

    def path(self, row: int) -> str:
        """The path of a row."""
        above: list[int] = []
        known = self._paths
        while row not in known:
            above.append(row)
            row = self.rows[row][0]
        path = known[row]
        for below in reversed(above):
            path = known[below] = paths.join(path, self.step(below))
        return path

    def owner(self, slot: int) -> int:
        """The row that a slot belongs to."""
        return bisect_right(self.first_slot, slot) - 1

    def role(self, slot: int, row: int) -> Role:
        """What the tensor in a slot of a row is to its module."""
        split = self.splits.get(row)
        if split is None or slot < split[0]:
            return "parameter"
        return "buffer" if slot < split[1] else "unregistered"

    def slot_name(self, slot: int, row: int) -> str:
        """The components of a slot below its row."""
        name = self.slots[slot][0]
        if self.role(slot, row) == "unregistered":
            return str(name)
        return step(name, slot - self.first_slot[row])

    def slot_path(self, slot: int) -> str:
        """The path of a slot's tensor."""
        row = self.owner(slot)
        return paths.join(self.path(row), self.slot_name(slot, row))


def step(key: Any, position: int) -> str:
    """How a key is written in a path: as text where it is text, else by its position."""
    text = text_of(key)
    return paths.position(position) if text is None else paths.component(text)


def read(module: object) -> Reading:
    """Read a module and everything below it.

    Raises:
        InvalidTargetError: If it is not a module.
    """
    require_module(module)
    with quiet():
        reading, contained = _walk(module)
        if contained or reading.hidden:
            _leave_out_registered(reading, contained)
    return reading


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """No torch function of a user's class or mode runs inside, and no collection of garbage, which finds none here."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        with torch._C.DisableTorchFunction():  # noqa: SLF001 - the public guards leave modes on
            yield
    finally:
        if collecting:
            gc.enable()


def _walk(module: Any) -> tuple[Reading, list[int]]:  # noqa: C901, PLR0912, PLR0915 - one loop, flat for its speed
    reading = Reading()
    rows, owns, inner, first_met = reading.rows, reading.owns, reading.inner, reading.first_met
    slots, first_slot, splits = reading.slots, reading.first_slot, reading.splits
    plain = set(_PLAIN)
    contained: list[int] = []
    seen: dict[int, int] = {}
    stack: list[tuple[int, int, tuple[Any, Any]]] = [(-1, 0, (None, module))]
    row = -1
    while stack:
        item = stack.pop()
        module = item[2][1]
        if module is None:
            continue
        row += 1
        rows.append(item)
        begin = len(slots)
        first_slot.append(begin)
        met = seen.setdefault(id(module), row)
        if met != row:
            first_met[row] = met
            owns.append(None)
            continue
        try:
            own = instance_dict(module)
            parameters, buffers, children = own["_parameters"], own["_buffers"], own["_modules"]
            if type(own) is type(parameters) is type(buffers) is type(children) is dict:
                for slot in parameters.items():
                    if slot[1] is not None:
                        slots.append(slot)
                if buffers:
                    at_buffers = len(slots)
                    slots.extend(slot for slot in buffers.items() if slot[1] is not None)
                    splits[row] = (at_buffers, len(slots))
                # What nn.Module.__init__ sets comes before what the user does, the registry of modules last of all.
                n_attributes = _N_STANDARD
                is_plain = True
                for value in reversed(own.values()):
                    if value is children:
                        break
                    n_attributes += 1
                    kind = type(value)
                    if (
                        kind is not int
                        and kind is not bool
                        and id(kind) not in plain
                        and not _holds_plain(value, plain)
                    ):
                        is_plain = False
                regular = n_attributes == len(own)
                below = list(children.items()) if children else None
            else:
                regular = False
        except (TypeError, KeyError, RuntimeError):
            regular = False
        if not regular:
            del slots[begin:]
            splits.pop(row, None)
            owns.append(None)
            if is_module(module):
                inner.append(row)
                stack.extend(_read_irregular(reading, module, plain, contained))
            else:
                del seen[id(module)]
                reading.problems[row] = f"not a module: {type_name(type(module))}"
            continue
        owns.append(own)
        if not is_plain:
            _read_attributes(reading, plain_items(own)[_N_STANDARD:], plain, contained)
        if below:
            inner.append(row)
            place = len(below)
            for child in reversed(below):
                place -= 1
                stack.append((row, place, child))
    first_slot.append(len(slots))
    return reading, contained


def _holds_plain(value: Any, plain: set[int]) -> bool:
    """Whether a plain attribute is neither tensor nor module, and holds none one level down; learns its type."""
    kind = type(value)
    if kind is tuple or kind is list or kind is dict:
        items = value.values() if kind is dict else value
        return plain.issuperset(map(id, map(type, islice(items, MOST_ITEMS))))
    if holds_nothing(kind):
        plain.add(id(kind))
        return True
    return False


def _read_irregular(
    reading: Reading, module: Any, plain: set[int], contained: list[int]
) -> list[tuple[int, int, tuple[Any, Any]]]:
    row = len(reading.rows) - 1
    try:
        held = parts(module)
    except Exception as error:  # noqa: BLE001 - whatever it is, it becomes the row's text
        reading.problems[row] = f"it can't be read: {reason(error)}"
        return []
    if held.problems:
        reading.problems[row] = "; ".join(held.problems)
    reading.irregular[row] = (held.training, held.non_persistent)
    slots = reading.slots
    slots.extend(held.parameters)
    at_buffers = len(slots)
    slots.extend(held.buffers)
    reading.splits[row] = (at_buffers, len(slots))
    _read_attributes(reading, held.attributes, plain, contained)
    below = zip(held.positions, held.children, strict=True)
    return [(row, place, item) for place, item in reversed(list(below))]


def _read_attributes(
    reading: Reading, attributes: list[tuple[Any, Any]], plain: set[int], contained: list[int]
) -> None:
    row = len(reading.rows) - 1
    slots = reading.slots
    first = reading.first_slot[row]
    registered = {id(value) for _, value in slots[first:]}
    before = len(slots)
    for found in found_in(attributes):
        value = found.value
        if is_module(value):
            reading.hidden.append((row, found))
        elif id(value) not in registered:
            if found.in_container:
                contained.append(len(slots))
            slots.append((found.name, value))
    if len(slots) > before:
        reading.splits[row] = (reading.splits[row][0] if row in reading.splits else before, before)
    plain.update(id(type(value)) for _, value in attributes if holds_nothing(type(value)))


def _leave_out_registered(reading: Reading, contained: list[int]) -> None:
    """Forget what is in a plain list or dict but registered elsewhere in the model: a list of references, no more."""
    known = {id(module) for module in reading.modules}
    reading.hidden = [(row, found) for row, found in reading.hidden if id(found.value) not in known]
    unsure = set(contained)
    registered = {id(value) for slot, (_, value) in enumerate(reading.slots) if slot not in unsure}
    drop = {slot for slot in contained if id(reading.slots[slot][1]) in registered}
    if not drop:
        return
    kept = [slot for slot in range(len(reading.slots)) if slot not in drop]
    moved = [bisect_left(kept, begin) for begin in reading.first_slot]
    reading.splits = {row: (bisect_left(kept, a), bisect_left(kept, b)) for row, (a, b) in reading.splits.items()}
    reading.slots = [reading.slots[slot] for slot in kept]
    reading.first_slot = moved
