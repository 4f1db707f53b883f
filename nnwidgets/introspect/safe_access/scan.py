"""The one scan of a module that trees, ties and look-ups are made from: flat lists of modules and tensors.

The walk is iterative, looks at each distinct module once, and calls nothing that a user can override. Modules laid
out as ``nn.Module.__init__`` lays them out, nearly all there are, are read by a few list operations of the
interpreter; the rest by `modules.parts`.
"""

from __future__ import annotations

import gc
import types
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cached_property
from itertools import chain, islice, repeat
from operator import length_hint, sub
from typing import Any

import torch

from nnwidgets.introspect import paths
from nnwidgets.introspect.records import Role
from nnwidgets.introspect.safe_access.modules import (
    MOST_ITEMS,
    REGISTRY,
    STANDARD,
    Found,
    found_in,
    holds_nothing,
    parts,
)
from nnwidgets.introspect.safe_access.objects import (
    ORDINARY,
    instance_dict,
    is_module,
    is_tensor,
    no_torch_function,
    plain_items,
    reason,
    require_module,
    text_of,
    type_name,
)

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

_CONTAINERS = {id(tuple), id(list), id(dict)}


_items_of: Callable[[Any], Iterable[tuple[Any, Any]]] = dict.items if REGISTRY is dict else plain_items
"""The items of a registry; an ``OrderedDict``'s own method would hash each key, with the key's code."""

_Siblings = tuple[list[tuple[Any, Any]], list[int] | None]
"""The children of a module by key, empty ones perhaps left out; then also the place of each."""


class ModelScan:
    """What was found, by row: 0 is the model itself, the rest follow in walk order.

    Attributes:
        modules: The object of each row.
        parents: The row above each; -1 for row 0.
        keys: The raw key of each row in its parent.
        owns: The ``__dict__`` of each; None where that wasn't read directly.
        inner: Rows that may have rows below.
        slot_names: The raw name of each tensor slot, row by row, empty ones left out.
        slot_values: What is in each.
        first_slot: Where the slots of each row begin; one more than rows.
        splits: For rows that hold more than parameters: where buffers begin, and where unregistered tensors begin.
        first_met: For rows whose module was met before: the row where.
        problems: For rows that couldn't be read in full: why.
        irregular: What `modules.parts` said of the rows it read: the training flag and the non-persistent names.
        places: For rows whose key isn't a string: their place among their parent's slots.
        hidden: Modules in plain attributes: the row, the components below it, the object.
    """

    def __init__(self) -> None:
        self.modules: list[Any] = []
        self.parents: list[int] = []
        self.keys: list[Any] = []
        self.owns: list[dict[str, Any] | None] = []
        self.inner: list[int] = []
        self.slot_names: list[Any] = []
        self.slot_values: list[Any] = []
        self.first_slot: list[int] = []
        self.splits: dict[int, tuple[int, int]] = {}
        self.first_met: dict[int, int] = {}
        self.problems: dict[int, str] = {}
        self.irregular: dict[int, tuple[bool | None, frozenset[str]]] = {}
        self.hidden: list[tuple[int, Found]] = []
        self.places: dict[int, int] = {}
        self._paths: dict[int, str] = {0: ""}

    @cached_property
    def slots(self) -> list[tuple[Any, Any]]:
        """Name and value of each tensor slot."""
        return list(zip(self.slot_names, self.slot_values, strict=True))

    @cached_property
    def is_ordinary(self) -> bool:
        """Whether all slots hold tensors of classes without Python code of their own."""
        return ORDINARY.issuperset(map(id, map(type, self.slot_values)))

    @cached_property
    def parameters(self) -> dict[int, tuple[int, int, Any]]:
        """The parameters by their ids: the first slot of each, the row of that, itself."""
        found: dict[int, tuple[int, int, Any]] = {}
        for row, begin in enumerate(self.first_slot[:-1]):
            end = self.splits[row][0] if row in self.splits else self.first_slot[row + 1]
            for slot in range(begin, end):
                tensor = self.slot_values[slot]
                if is_tensor(tensor):
                    found.setdefault(id(tensor), (slot, row, tensor))
        return found

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
        return step(self.keys[row], self.places.get(row, 0))

    def path(self, row: int) -> str:
        """The path of a row."""
        above: list[int] = []
        known = self._paths
        while row not in known:
            above.append(row)
            row = self.parents[row]
        path = known[row]
        for below in reversed(above):
            path = known[below] = paths.join(path, self.step(below))
        return path

    def rows_of(self, fits: Callable[[type], bool]) -> list[int]:
        """The rows of modules whose class fits, in order, repeated ones included; each class is asked about once."""
        kinds = {id(type(module)): type(module) for module in self.modules}
        wanted = {key for key, kind in kinds.items() if fits(kind)}
        return [row for row, module in enumerate(self.modules) if id(type(module)) in wanted] if wanted else []

    @cached_property
    def row_paths(self) -> list[str]:
        """The path of each row."""
        tails = _Tails()
        made = [""]
        for parent, key in islice(zip(self.parents, self.keys, strict=True), 1, None):
            if parent and type(key) is str:
                made.append(made[parent] + tails[key])
            else:
                made.append(paths.join(made[parent], self.step(len(made))))
        return made

    @cached_property
    def slot_paths(self) -> list[str]:
        """The path of each slot's tensor."""
        tails = _Tails()
        n_slots = map(sub, islice(self.first_slot, 1, None), self.first_slot)
        bases = chain.from_iterable(map(repeat, self.row_paths, n_slots))
        made = [
            "" if type(name) is not str else base + tails[name] if base else tails[name].removeprefix(".")
            for name, base in zip(self.slot_names, bases, strict=True)
        ]
        unregistered = (range(at, self.first_slot[row + 1]) for row, (_, at) in self.splits.items())
        without = (slot for slot, path in enumerate(made) if not path)
        for slot in [*without, *chain.from_iterable(unregistered)]:
            made[slot] = self.slot_path(slot)
        return made

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
        name = self.slot_names[slot]
        if self.role(slot, row) == "unregistered":
            return str(name)
        return step(name, slot - self.first_slot[row])

    def slot_path(self, slot: int) -> str:
        """The path of a slot's tensor."""
        row = self.owner(slot)
        return paths.join(self.path(row), self.slot_name(slot, row))


class _Tails(dict[str, str]):
    """How a text key continues a path: ``.weight`` or ``["a.b"]``."""

    def __missing__(self, key: str) -> str:
        tail = self[key] = paths.join("x", paths.component(key))[1:]
        return tail


def step(key: Any, position: int) -> str:
    """How a key is written in a path: as text where it is text, else by its position."""
    text = text_of(key)
    return paths.position(position) if text is None else paths.component(text)


def read(module: object) -> ModelScan:
    """Read a module and everything below it.

    Raises:
        InvalidTargetError: If it is not a module.
    """
    require_module(module)
    with no_torch_function(), gc_paused():
        scan, contained = _walk(module)
        if contained or scan.hidden:
            _leave_out_registered(scan, contained)
    return scan


@contextmanager
def gc_paused() -> Iterator[None]:
    """Nothing that is built inside is garbage, and looking through it again and again takes half of the time.

    Only round what builds records by the thousand: the collector is the whole process's.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _walk(model: Any) -> tuple[ModelScan, list[int]]:  # noqa: C901, PLR0912, PLR0915 - one loop, flat for its speed
    scan = ModelScan()
    modules, parents, keys, owns = scan.modules, scan.parents, scan.keys, scan.owns
    inner, first_met, first_slot, splits = scan.inner, scan.first_met, scan.first_slot, scan.splits
    names, values = scan.slot_names, scan.slot_values
    plain, items_of = set(_PLAIN), _items_of
    contained: list[int] = []
    seen: dict[int, int] = {}
    parent, row = -1, -1
    siblings: _Siblings = ([(None, model)], None)
    left = iter(siblings[0])
    stack: list[tuple[int, _Siblings, Iterator[tuple[Any, Any]]]] = []
    while True:
        for key, module in left:
            if module is None:
                continue
            row += 1
            modules.append(module)
            parents.append(parent)
            keys.append(key)
            begin = len(values)
            first_slot.append(begin)
            if type(key) is not str:
                items, places = siblings
                at = len(items) - length_hint(left) - 1
                scan.places[row] = places[at] if places else at
            met = seen.setdefault(id(module), row)
            if met != row:
                first_met[row] = met
                owns.append(None)
                continue
            try:
                own = instance_dict(module)
                parameters, buffers, children = own["_parameters"], own["_buffers"], own["_modules"]
                if type(own) is dict and type(parameters) is type(buffers) is type(children) is REGISTRY:
                    if parameters:
                        for name, value in items_of(parameters):
                            if value is not None:
                                names.append(name)
                                values.append(value)
                    if buffers:
                        at_buffers = len(values)
                        for name, value in items_of(buffers):
                            if value is not None:
                                names.append(name)
                                values.append(value)
                        splits[row] = (at_buffers, len(values))
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
                    below = list(items_of(children)) if children else None
                else:
                    regular = False
            except (TypeError, KeyError, RuntimeError):
                regular = False
            if regular:
                owns.append(own)
                if not is_plain:
                    _read_attributes(scan, plain_items(own)[_N_STANDARD:], plain, contained)
                if not below:
                    continue
                inside: _Siblings = (below, None)
            else:
                del names[begin:], values[begin:]
                splits.pop(row, None)
                owns.append(None)
                if not is_module(module):
                    del seen[id(module)]
                    scan.problems[row] = f"not a module: {type_name(type(module))}"
                    continue
                inside = _read_irregular(scan, module, plain, contained)
            inner.append(row)
            stack.append((parent, siblings, left))
            parent, siblings = row, inside
            left = iter(inside[0])
            break
        else:
            if not stack:
                break
            parent, siblings, left = stack.pop()
    first_slot.append(len(values))
    return scan, contained


def _holds_plain(value: Any, plain: set[int]) -> bool:
    """Whether a plain attribute is neither tensor nor module, and holds none one level down; learns its type."""
    kind = type(value)
    if kind is tuple or kind is list or kind is dict:
        items = value.values() if kind is dict else value
        kinds = map(id, map(type, islice(items, MOST_ITEMS)))
        # Containers inside it are looked into no further.
        return plain.issuperset(kind for kind in kinds if kind not in _CONTAINERS)
    if holds_nothing(kind):
        plain.add(id(kind))
        return True
    return False


def _read_irregular(scan: ModelScan, module: Any, plain: set[int], contained: list[int]) -> _Siblings:
    row = len(scan.modules) - 1
    try:
        held = parts(module)
    except Exception as error:  # noqa: BLE001 - whatever it is, it becomes the row's text
        scan.problems[row] = f"it can't be read: {reason(error)}"
        return [], None
    if held.problems:
        scan.problems[row] = "; ".join(held.problems)
    scan.irregular[row] = (held.training, held.non_persistent)
    at_buffers = len(scan.slot_values) + len(held.parameters)
    for name, value in (*held.parameters, *held.buffers):
        scan.slot_names.append(name)
        scan.slot_values.append(value)
    scan.splits[row] = (at_buffers, len(scan.slot_values))
    _read_attributes(scan, held.attributes, plain, contained)
    return held.children, held.positions


def _read_attributes(scan: ModelScan, attributes: list[tuple[Any, Any]], plain: set[int], contained: list[int]) -> None:
    row = len(scan.modules) - 1
    values = scan.slot_values
    registered = set(map(id, values[scan.first_slot[row] :]))
    before = len(values)
    for found in found_in(attributes):
        value = found.value
        if is_module(value):
            scan.hidden.append((row, found))
        elif id(value) not in registered:
            if found.in_container:
                contained.append(len(values))
            scan.slot_names.append(found.name)
            values.append(value)
    if len(values) > before:
        scan.splits[row] = (scan.splits[row][0] if row in scan.splits else before, before)
    plain.update(id(type(value)) for _, value in attributes if holds_nothing(type(value)))


def _leave_out_registered(scan: ModelScan, contained: list[int]) -> None:
    """Forget what is in a plain list or dict but registered elsewhere in the model: a list of references, no more."""
    known = {id(module) for module in scan.modules}
    scan.hidden = [(row, found) for row, found in scan.hidden if id(found.value) not in known]
    unsure = set(contained)
    values = scan.slot_values
    registered = {id(value) for slot, value in enumerate(values) if slot not in unsure}
    drop = {slot for slot in contained if id(values[slot]) in registered}
    if not drop:
        return
    kept = [slot for slot in range(len(values)) if slot not in drop]
    moved = [bisect_left(kept, begin) for begin in scan.first_slot]
    scan.splits = {row: (bisect_left(kept, a), bisect_left(kept, b)) for row, (a, b) in scan.splits.items()}
    scan.slot_names = [scan.slot_names[slot] for slot in kept]
    scan.slot_values = [values[slot] for slot in kept]
    scan.first_slot = moved
