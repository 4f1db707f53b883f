"""What modules were before code of their own ran: attributes, containers and tensors, exchanged with what they became.

Bytes of tensors are the undo copy's; here is which objects there are, and what each container and tensor is made of.
"""

from __future__ import annotations

import types
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch

from nnwidgets.checkpoint.bytes_equal import quantizer_of
from nnwidgets.introspect.safe_access.objects import (
    instance_dict,
    is_a,
    is_array,
    is_module,
    is_tensor,
    no_torch_function,
    plain_items,
    tensor_dict,
)
from nnwidgets.introspect.safe_access.scan import gc_paused
from nnwidgets.introspect.safe_access.tensors import as_plain_tensor, unreadable_reason

_MOST_WITHIN = 100_000
"""So many containers and plain objects within those of modules' attributes are followed."""

_DEEPEST = 4
"""Containers and plain objects within those of a module's attributes are followed so far."""

_NOT_FOLLOWED = (type, types.FunctionType, types.MethodType, types.BuiltinFunctionType, types.ModuleType)


@dataclass(slots=True)
class _Cell:
    """Something that code may change in place, and what it held."""

    holder: Any
    kind: str
    content: Any


class ModuleState:
    """The state of some modules around a call that may change anything of theirs: all of it is put back, or put again.

    Containers and plain objects in their attributes are followed, four deep; what code changes elsewhere isn't seen.

    Attributes:
        plains: The data of all their tensors, for an undo copy of the bytes.
        is_changed: Whether the call was made, and not taken back.
    """

    def __init__(self, names: Iterable[str], modules: Iterable[Any], call: Callable[[], None]) -> None:
        self.is_changed = False
        self._names = list(names)
        self._call: Callable[[], None] | None = call
        with gc_paused():
            self._before: list[_Cell] = list(_cells(modules))
        self._changed: list[tuple[_Cell, Any]] = []
        tensors = [cell.holder for cell in self._before if cell.kind == "tensor"]
        self.plains = [
            data
            for data in (as_plain_tensor(each) for each in tensors if unreadable_reason(each) is None)
            if data.layout is torch.strided
        ]
        self._sizes = [(data, data.untyped_storage().nbytes()) for data in self.plains]

    def exchange(self) -> None:
        """Make the call; where it was made, take back what it changed; where that was done, bring it again."""
        if self._call is not None and not self.is_changed:
            self.is_changed = True
            self._call()
            self._grow()
            self._changed = [
                (cell, now)
                for cell in self._before
                if not _is_same(cell.kind, cell.content, now := _content(cell.holder, cell.kind))
            ]
            # They would keep the model alive.
            self._before, self._call = [], None
        elif self._call is not None:
            self._grow()
            for cell in self._before:
                _put(cell.holder, cell.kind, cell.content, _content(cell.holder, cell.kind))
            self.is_changed = False
        elif self.is_changed:
            for cell, after in self._changed:
                _put(cell.holder, cell.kind, cell.content, after)
            self.is_changed = False
        else:
            self.is_changed = True
            for cell, after in self._changed:
                _put(cell.holder, cell.kind, after, cell.content)

    def foreign(self) -> list[str]:
        """The modules' names where somebody else has changed what the last exchange left; else nothing."""
        for cell, after in self._changed:
            left, other = (after, cell.content) if self.is_changed else (cell.content, after)
            now = _content(cell.holder, cell.kind)
            if cell.kind == "dict":
                before, found = dict(other), dict(now)
                wanted = dict(left)
                keys = [
                    key for key in {**before, **wanted} if not _is_alike(before.get(key, _NONE), wanted.get(key, _NONE))
                ]
                if not all(_is_alike(found.get(key, _NONE), wanted.get(key, _NONE)) for key in keys):
                    return self._names
            elif not _is_same(cell.kind, left, now) and cell.kind != "whole":
                return self._names
        return []

    def _grow(self) -> None:
        """Give storages that were made smaller their size again: the undo copy's bytes belong there."""
        for data, n_bytes in self._sizes:
            if data.untyped_storage().nbytes() < n_bytes:
                data.untyped_storage().resize_(n_bytes)


_NONE = object()


def _cells(modules: Iterable[Any]) -> Iterator[_Cell]:
    """All that can be changed in place, within some modules and what is below them."""
    seen: set[int] = set()
    waiting = [(module, 0) for module in modules]
    n_within = 0
    while waiting:
        value, depth = waiting.pop()
        if id(value) in seen:
            continue
        holder: Any = value
        if is_module(value):
            holder, depth = instance_dict(value), 0
        elif not is_tensor(value) and _kind(value) is None:
            # A plain object: what it is made of is in its dict.
            holder = None if depth > _DEEPEST or isinstance(value, _NOT_FOLLOWED) else _object_dict(value)
        if depth > 1 and not is_tensor(value):
            n_within += 1
        if holder is None or depth > _DEEPEST or n_within > _MOST_WITHIN:
            continue
        seen.update((id(value), id(holder)))
        kind = "tuple" if is_a(value, tuple) else _kind(holder) or "whole"
        if kind != "tuple":
            yield _Cell(holder, kind, _content(holder, kind))
        waiting += [(each, depth + 1) for each in _inside(holder, kind) if not isinstance(each, _LEAVES)]
        if kind in ("tensor", "whole") and tensor_dict(holder):
            waiting.append((tensor_dict(holder), depth))


_LEAVES = (type(None), bool, int, float, complex, str, bytes, torch.dtype, torch.device, torch.Size)


def _kind(value: Any) -> str | None:
    if is_tensor(value):
        return "tensor" if value.layout is torch.strided else "whole"
    for base, kind in _KINDS.items():
        if is_a(value, base):
            return kind
    return "array" if is_array(value) else None


_KINDS: dict[type, str] = {
    OrderedDict: "dict", dict: "dict", list: "list", deque: "list", set: "set", tuple: "tuple", bytearray: "list",
    torch.Generator: "generator",
}  # fmt: skip


def _object_dict(value: Any) -> dict[str, Any] | None:
    try:
        found = object.__getattribute__(value, "__dict__")
    except AttributeError:
        return None
    return found if type(found) is dict else None


def _inside(holder: Any, kind: str) -> list[Any]:
    if kind == "dict":
        return [value for _, value in plain_items(holder)]
    return list(holder) if kind in ("list", "tuple", "set") and not is_a(holder, bytearray) else []


def _content(holder: Any, kind: str) -> Any:
    if kind == "dict":
        return plain_items(holder)
    if kind == "tensor":
        with no_torch_function(), torch.no_grad():
            return type(holder), holder.data
    if kind == "whole":
        with no_torch_function(), torch.no_grad():
            return type(holder), holder.detach().clone()
    if kind == "generator":
        return holder.get_state()
    if kind == "array":
        return holder.copy()
    return list(holder) if kind == "list" else set(holder)


def _is_same(kind: str, one: Any, other: Any) -> bool:
    if kind == "dict":
        pairs = zip(one, other, strict=True) if len(one) == len(other) else ()
        return len(one) == len(other) and all(a is c and _is_alike(b, d) for (a, b), (c, d) in pairs)
    if kind == "list":
        return len(one) == len(other) and all(map(_is_alike, one, other))
    if kind == "tensor":
        return one[0] is other[0] and _geometry(one[1]) == _geometry(other[1])
    if kind == "generator":
        return torch.equal(one, other)
    if kind == "array":
        return bool(one.shape == other.shape and one.dtype == other.dtype and one.tobytes() == other.tobytes())
    return kind == "set" and bool(one == other)


def _is_alike(one: Any, other: Any) -> bool:
    """Whether two values are one object, or views of the same memory: some wrappers make new ones all the time."""
    if one is other:
        return True
    are_views = type(one) is type(other) is torch.Tensor and one.layout is other.layout is torch.strided
    return are_views and one.untyped_storage().nbytes() > 0 and _geometry(one) == _geometry(other)


def _geometry(data: torch.Tensor) -> tuple[Any, ...]:
    storage: Any = data.untyped_storage()
    place = storage._cdata, data.storage_offset(), data.shape, data.stride()  # noqa: SLF001 - which storage
    return *place, data.dtype, data.is_conj(), data.is_neg(), quantizer_of(data)


def _put(holder: Any, kind: str, wanted: Any, now: Any) -> None:
    """Have a holder hold what is wanted, where that differs from ``now``; may be called again."""
    if _is_same(kind, wanted, now):
        return
    if kind == "dict":
        _put_dict(holder, dict(wanted), dict(now))
    elif kind == "list":
        holder[:] = wanted if not is_a(holder, deque) else ()
        if is_a(holder, deque):
            holder.extend(wanted)
    elif kind == "set":
        set.clear(holder)
        set.update(holder, wanted)
    elif kind == "generator":
        holder.set_state(wanted)
    elif kind == "array":
        holder.resize(wanted.shape, refcheck=False)
        holder[...] = wanted
    else:
        _put_tensor(holder, *wanted)


def _put_tensor(holder: Any, kind: type, data: torch.Tensor) -> None:
    with no_torch_function(), torch.no_grad():
        if data.layout in _COMPRESSED:
            # Torch leaves the values where they are when such a tensor is given other data.
            holder.resize_as_sparse_(data).copy_(data)
        else:
            holder.data = data
        if type(holder) is not kind:
            holder.__class__ = kind
        if not holder.is_inference():
            torch.autograd.graph.increment_version(holder)


_COMPRESSED = {torch.sparse_csr, torch.sparse_csc, torch.sparse_bsr, torch.sparse_bsc}


def _put_dict(holder: Any, wanted: dict[Any, Any], now: dict[Any, Any]) -> None:
    """Change what differs between two contents, and leave alone what else came meanwhile."""
    base: Any = OrderedDict if is_a(holder, OrderedDict) else dict
    for key in now:
        if key not in wanted and key in holder:
            base.__delitem__(holder, key)
    for key, value in wanted.items():
        if not _is_alike(now.get(key, _NONE), value):
            base.__setitem__(holder, key, value)
    there = dict(plain_items(holder))
    order = [*(key for key in wanted if key in there), *(key for key in there if key not in wanted)]
    if list(there) != order:
        for key in order:
            base.__delitem__(holder, key)
            base.__setitem__(holder, key, there[key])
