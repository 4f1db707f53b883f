"""The tensors inside what goes into a forward and comes out of it, told by shape and dtype; none is kept."""

from __future__ import annotations

import itertools
from collections import UserDict
from collections.abc import Iterable, Iterator
from typing import Any

import torch

from nnwidgets.introspect.safe_access.objects import class_attribute, is_a, is_tensor

_MOST_TENSORS = 1_000
_MAX_VISITED = 10_000

Shapes = tuple[tuple[int, ...], ...]
Dtypes = tuple[str, ...]


def describe(*values: Any) -> tuple[Shapes, Dtypes]:
    """Return the shapes and dtypes of the tensors in ``values``, nested containers flattened, in order.

    Lists, tuples, dicts and dataclasses are opened (`transformers`' outputs are both of the last two); of anything
    else the contents stay unseen. A size that isn't a number (a ragged dimension of a nested tensor) is -1. At most
    1,000 tensors are told.

    Example:
        >>> import torch
        >>> describe({"x": [torch.zeros(2, 20), None]}, torch.ones(3, dtype=torch.int64))
        (((2, 20), (3,)), ('float32', 'int64'))
    """
    return describe_tensors(first_tensors(values))


def first_tensors(value: Any) -> list[torch.Tensor]:
    """Return the tensors in a value, 1,000 at most.

    Example:
        >>> import torch
        >>> len(first_tensors({"x": [torch.zeros(2), None]}))
        1
    """
    return list(itertools.islice(tensors_in(value), _MOST_TENSORS))


def describe_tensors(tensors: Iterable[torch.Tensor]) -> tuple[Shapes, Dtypes]:
    """Return the shapes and dtypes of tensors, as `describe` does of those that it finds.

    Example:
        >>> import torch
        >>> describe_tensors([torch.zeros(2, 20)])
        (((2, 20),), ('float32',))
    """
    shapes: list[tuple[int, ...]] = []
    dtypes: list[str] = []
    with torch._C.DisableTorchFunctionSubclass():  # noqa: SLF001 - a subclass's own code must not run to read a shape
        for tensor in tensors:
            shapes.append(_shape(tensor))
            dtypes.append(str(tensor.dtype).removeprefix("torch."))
    return tuple(shapes), tuple(dtypes)


def tensors_in(value: Any) -> Iterator[torch.Tensor]:
    """Yield the tensors in a value, first to last, without recursion, each container once."""
    waiting = [value]
    opened: set[int] = set()
    visited = 0
    while waiting and visited < _MAX_VISITED:
        visited += 1
        current = waiting.pop()
        if is_tensor(current):
            yield current
            continue
        inside = _contents(current)
        if inside and id(current) not in opened:
            opened.add(id(current))
            waiting.extend(reversed(inside[:_MAX_VISITED]))


def tensors_among(value: Any) -> Iterator[Any]:
    """The tensors among an operator's arguments or results, those in its lists included."""
    for each in value if isinstance(value, (tuple, list)) else (value,):
        if isinstance(each, (tuple, list)):
            yield from tensors_among(each)
        elif is_tensor(each):
            yield each


def _contents(value: Any) -> list[Any]:
    """Return what a container holds, read without its own methods."""
    if is_a(value, dict):
        return list(dict.values(value))
    if is_a(value, list):
        return list(list.__iter__(value))
    if is_a(value, tuple):
        return list(tuple.__iter__(value))
    attributes = _attributes(value)
    if is_a(value, UserDict):
        return _contents(attributes.get("data"))
    if class_attribute(type(value), "__dataclass_fields__") is not None:
        return list(attributes.values())
    return []


def _attributes(value: Any) -> dict[str, Any]:
    try:
        found = object.__getattribute__(value, "__dict__")
    except (AttributeError, TypeError):
        return {}
    return found if type(found) is dict else {}


def _shape(tensor: torch.Tensor) -> tuple[int, ...]:
    try:
        return tuple(_size(size) for size in tensor.shape)
    except (RuntimeError, NotImplementedError):
        return (-1,) * tensor.dim()


def _size(size: Any) -> int:
    try:
        return int(size)
    except (AttributeError, RuntimeError, TypeError, ValueError):
        return -1  # a symbol, such as the ragged size of a nested tensor
