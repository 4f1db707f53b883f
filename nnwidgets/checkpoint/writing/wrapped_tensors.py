"""Tensors of classes that hold others (torchao's), written as ``torch.save`` writes them: by the class's name.

Only where torch has been told that these classes are plain data (``torch.serialization.add_safe_globals``, which
torchao calls when it is imported), so that ``torch.load(weights_only=True)`` reads the file.
Source: ``_reduce_ex_internal`` in torch/_tensor.py.
"""

from __future__ import annotations

import copyreg
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

import torch

from nnwidgets.introspect.safe_access import objects
from nnwidgets.introspect.safe_access.tensors import torch_attribute

_PLAIN = {type(None), bool, int, float, complex, str, bytes, torch.dtype, torch.device, torch.layout, torch.Size}
_MOST_NESTED = 16


@dataclass(slots=True, eq=False)
class WrappedToSave:
    """A tensor of such a class, to be written.

    Attributes:
        kind: The class.
        about: Its dtype, sizes, strides, offset, layout, device in the file, and whether it asks for gradients.
        state: What it holds by name, tensors to save among it.
        how: Of what it is made, in words.
    """

    kind: type
    about: tuple[Any, ...]
    state: dict[str, Any]
    how: str

    def reduced(self) -> tuple[Any, ...]:
        """What a pickle has of it."""
        rebuild = torch._utils._rebuild_wrapper_subclass  # noqa: SLF001 - the name in the file
        return torch._tensor._rebuild_from_type_v2, (rebuild, self.kind, (self.kind, *self.about), self.state)  # noqa: SLF001


class ObjectToSave:
    """An object that such a tensor holds, to be written."""

    __slots__ = ("_kind", "arguments", "state")

    def __init__(self, kind: type, arguments: tuple[Any, ...], state: dict[str, Any] | None) -> None:
        self._kind, self.arguments, self.state = kind, arguments, state

    @property  # type: ignore[misc] # it is set nowhere
    def __class__(self) -> Any:
        """The class of what it stands for: pickle makes sure that this is what it is told to make."""
        return self._kind

    def reduced(self) -> tuple[Any, ...]:
        """What a pickle has of it."""
        if objects.descends(Enum, self._kind):
            return self._kind, self.arguments
        return copyreg.__newobj__, (self._kind, *self.arguments), self.state  # type: ignore[attr-defined] # it is there


def wrapped_to_save(tensor: Any, how: str, to_save: Callable[[str, Any], Any]) -> WrappedToSave | None:
    """A tensor of a wrapping class as it is written; None where plain ``torch.load`` wouldn't read that.

    Args:
        tensor: It.
        how: Of what it is made, in words.
        to_save: Makes a tensor that it holds, given with its name, one to be saved.
    """
    known = set(map(_class_of, torch.serialization.get_safe_globals()))
    if type(tensor) not in known or objects.own_slots(tensor):
        return None
    walk = _Walk(known, to_save)
    try:
        state = {
            key: walk.value(str(key), each, _MOST_NESTED)
            for key, each in objects.plain_items(objects.tensor_dict(tensor))
            if key != _OF_A_PARAMETER
        }
    except _UnwritableError:
        return None
    about = (
        torch_attribute(tensor, "dtype"), tuple(torch_attribute(tensor, "size")()),
        tuple(torch_attribute(tensor, "stride")()), torch_attribute(tensor, "storage_offset")(),
        torch_attribute(tensor, "layout"), torch.device("cpu"), torch_attribute(tensor, "requires_grad"),
    )  # fmt: skip
    return WrappedToSave(type(tensor), about, state, how)


@dataclass(frozen=True, slots=True)
class _Walk:
    """Makes plain what such a tensor holds."""

    known: set[Any]
    to_save: Callable[[str, Any], Any]

    def value(self, name: str, value: Any, left: int) -> Any:
        if type(value) in _PLAIN:
            return value
        if not left:
            raise _UnwritableError
        if id(type(value)) in objects.ORDINARY:
            return self.to_save(name, value)
        if type(value) in (list, tuple):
            return type(value)(self.value(name, each, left - 1) for each in value)
        if type(value) is dict:
            return {self.value(name, key, 0): self.value(name, each, left - 1) for key, each in value.items()}
        return self._object(name, value, left - 1)

    def _object(self, name: str, value: Any, left: int) -> ObjectToSave:
        kind, held = type(value), objects.object_dict(value)
        if kind not in self.known:
            raise _UnwritableError
        if objects.is_a(value, Enum):
            return ObjectToSave(kind, (self.value(name, held.get("_value_"), 0),), None)
        if any(objects.class_attribute(kind, method) is not vars(object)[method] for method in _REDUCING):
            raise _UnwritableError
        items = tuple.__iter__(value) if objects.is_a(value, tuple) else ()
        state = {key: self.value(name, each, left) for key, each in held.items()}
        return ObjectToSave(kind, tuple(self.value(name, each, left) for each in items), state or None)


class _UnwritableError(Exception):
    """Something that plain data isn't made of."""


def _class_of(found: Any) -> Any:
    return found[0] if type(found) is tuple else found


_REDUCING = ("__reduce__", "__reduce_ex__", "__getstate__")
_OF_A_PARAMETER = "_is_param"
"""How torch marks a Parameter of such a class; its state dict has the tensor without."""
