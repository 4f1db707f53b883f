"""Reading one module the careful way: every kind there is, one item at a time, each failure a text.

`scan.read` takes this way for the modules that are not laid out as ``nn.Module.__init__`` lays them out, `lookup`
for all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice, repeat
from typing import Any

import torch
from torch import nn

from nnwidgets.introspect import paths
from nnwidgets.introspect.safe_access.holders import is_flat
from nnwidgets.introspect.safe_access.objects import (
    descends,
    instance_dict,
    is_a,
    is_module,
    is_tensor,
    plain_items,
    type_name,
)

_NEW = instance_dict(nn.Module())

STANDARD = tuple(_NEW)
"""The attributes that ``nn.Module.__init__`` sets, in the order it sets them."""

REGISTRY = type(_NEW["_parameters"])
"""What it registers in: a plain dict, in torch 2.4 an ``OrderedDict``."""

MOST_ITEMS = 1_000
"""How many items of a plain list or dict are looked at."""

_NOT_OWN = frozenset((*STANDARD, "_c", "_concrete_type", "_initializing", "_actual_script_module"))
_TENSOR = torch._C.TensorBase  # noqa: SLF001 - the one class all tensors have below them
_HOLDING = (_TENSOR, nn.Module, list, tuple, dict, torch._C.ScriptObject)  # noqa: SLF001 - the same


@dataclass(slots=True)
class Parts:
    """What one module holds.

    Attributes:
        parameters: Key and value of each slot, None values left out.
        buffers: The same.
        children: The same; a value need not be a module. ``positions`` says where each stood among all.
        positions: Place of each child among all slots, empty ones counted.
        attributes: The user's own plain attributes.
        non_persistent: Names of buffers that ``state_dict`` leaves out.
        training: The training flag, or None.
        problems: What couldn't be read, and why.
    """

    parameters: list[tuple[Any, Any]] = field(default_factory=list)
    buffers: list[tuple[Any, Any]] = field(default_factory=list)
    children: list[tuple[Any, Any]] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    attributes: list[tuple[Any, Any]] = field(default_factory=list)
    non_persistent: frozenset[str] = frozenset()
    training: bool | None = None
    problems: list[str] = field(default_factory=list)


def parts(module: Any) -> Parts:
    """Read one module, of any kind, running none of its code."""
    made = Parts()
    own = dict(plain_items(instance_dict(module)))
    actual = own.get("_actual_script_module")
    if is_module(actual):
        own = {**own, **dict(plain_items(instance_dict(actual)))}
    script = own.get("_c")
    if type(script) is torch._C.ScriptModule:  # noqa: SLF001 - torch has no public name for it
        _read_script(made, own, script)
    else:
        _read_python(made, own)
    names = own.get("_non_persistent_buffers_set")
    if names is not None and is_a(names, set):
        made.non_persistent = frozenset(name for name in set.copy(names) if type(name) is str)
    if type(own.get("training")) is bool:
        made.training = own["training"]
    made.attributes = [(name, value) for name, value in own.items() if type(name) is str and name not in _NOT_OWN]
    return made


def _read_python(made: Parts, own: dict[str, Any]) -> None:
    if all(name not in own for name in ("_parameters", "_buffers", "_modules")):
        made.problems.append("its __init__ never called super().__init__(), so nothing is registered")
        return
    made.parameters = [(k, v) for k, v in _slots(made, own, "_parameters") if v is not None]
    made.buffers = [(k, v) for k, v in _slots(made, own, "_buffers") if v is not None]
    for index, (key, value) in enumerate(_slots(made, own, "_modules")):
        if value is not None:
            made.children.append((key, value))
            made.positions.append(index)


def _slots(made: Parts, own: dict[str, Any], name: str) -> list[tuple[Any, Any]]:
    if name not in own:
        made.problems.append(f"it has no {name}")
        return []
    held = own[name]
    if not is_a(held, dict):
        made.problems.append(f"its {name} is of type {type_name(type(held))}, expected a dict")
        return []
    try:
        return plain_items(held)
    except RuntimeError as error:
        made.problems.append(f"its {name} kept changing while it was read ({error})")
        return []


def _read_script(made: Parts, own: dict[str, Any], script: Any) -> None:
    c: Any = torch._C  # noqa: SLF001 - where TorchScript keeps what a module holds
    made.parameters = [(k, v) for k, v in c.ParameterDict(script).items() if v is not None]
    made.buffers = [(k, v) for k, v in c.BufferDict(script).items() if v is not None]
    wrapper = own.get("_modules")
    wrapped = object.__getattribute__(wrapper, "__dict__").get("_python_modules", {})
    made.children = [(k, v) for k, v in plain_items(wrapped) if v is not None]
    made.positions = list(range(len(made.children)))
    if script.hasattr("training"):
        own["training"] = script.getattr("training")


@dataclass(frozen=True, slots=True)
class Found:
    """Something of interest in a plain attribute.

    Attributes:
        name: Its components below the module: ``attr``, ``attr[0]``, ``attr["k"]``.
        value: The object.
        in_container: Whether it was in a list, tuple or dict.
    """

    name: str
    value: Any
    in_container: bool


def is_packed(value: object) -> bool:
    """Whether ``value`` is a TorchScript object, such as the packed weights of a quantized layer."""
    return type(value) is torch._C.ScriptObject  # noqa: SLF001 - it has no public name


def holds_nothing(kind: type) -> bool:
    """Whether values of a type are neither tensor, packed weights, module nor container."""
    return not any(descends(base, kind) for base in _HOLDING)


def found_in(attributes: list[tuple[Any, Any]]) -> Iterator[Found]:
    """Tensors, packed weights and modules among plain attributes, and one level down in lists, tuples and dicts.

    Not the list in which FSDP1 keeps the memory of parameters that stay registered: it is no tensor besides them.
    """
    for name, value in attributes:
        if is_tensor(value) or is_module(value) or is_packed(value):
            yield Found(paths.component(name), value, in_container=False)
        elif is_a(value, list) or is_a(value, tuple) or is_a(value, dict):
            for index, (key, item) in enumerate(_items(value)):
                if (is_tensor(item) and not is_flat(item)) or is_module(item):
                    step = paths.in_brackets(key) if type(key) is str else paths.position(index)
                    yield Found(paths.join(paths.component(name), step), item, in_container=True)


def _items(container: Any) -> Iterable[tuple[Any, Any]]:
    """The first items of a list, tuple or dict, each with its key; those of a list or tuple have none."""
    if is_a(container, dict):
        return plain_items(container)[:MOST_ITEMS]
    held = list.__iter__(container) if is_a(container, list) else tuple.__iter__(container)
    return zip(repeat(None), islice(held, MOST_ITEMS), strict=False)


def own_attribute(module: Any, name: str) -> Any:
    """Return what is in a module's ``__dict__`` under a name; None without one, or without a module."""
    return dict.get(instance_dict(module), name) if is_module(module) else None


def registered_by_name(module: Any, which: str) -> dict[str, Any]:
    """Return what ``_parameters``, ``_buffers`` or ``_modules`` holds under string keys.

    Example:
        >>> from torch import nn
        >>> list(registered_by_name(nn.Linear(2, 2), "_parameters"))
        ['weight', 'bias']
    """
    held = own_attribute(module, which)
    return {key: value for key, value in plain_items(held) if type(key) is str} if is_a(held, dict) else {}
