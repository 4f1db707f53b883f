"""What is known of a tensor without reading its data, read so that no code of a tensor class runs."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter

from nnwidgets.introspect.guard import descends, is_tensor, reason, refusing_dispatch, type_name
from nnwidgets.introspect.irregular import is_packed
from nnwidgets.introspect.placement import sparse_components

_BASE: Any = torch._C.TensorBase  # noqa: SLF001 - its properties can't be overridden by a subclass or an instance
_shape, _dtype, _device, _layout = (getattr(_BASE, name).__get__ for name in ("shape", "dtype", "device", "layout"))
_requires_grad, _grad, _is_leaf, _retains_grad = (
    getattr(_BASE, name).__get__ for name in ("requires_grad", "grad", "is_leaf", "retains_grad")
)


class Kind(NamedTuple):
    """What tensors of the same shape, dtype, device and layout have in common."""

    shape: tuple[int, ...] | None
    dtype: str
    device: str
    layout: str
    n_elements: int
    size_bytes: int


class Kinds(dict[Any, Kind]):
    """Kinds by (shape, dtype, device, layout), made when first asked for; for strided tensors."""

    def __missing__(self, key: tuple[Any, torch.dtype, torch.device, torch.layout]) -> Kind:
        shape, dtype, device, layout = key
        n = math.prod(shape)
        kind = Kind(tuple(shape), _name(dtype), str(device), _name(layout), n, n * dtype.itemsize)
        self[key] = kind
        return kind


class Facts(NamedTuple):
    """What is known of one tensor."""

    kind: Kind
    requires_grad: bool
    has_grad: bool
    problem: str | None


def has_grad(tensor: Any) -> bool:
    """Whether ``.grad`` is set; asks only where torch would not warn."""
    return (_is_leaf(tensor) or _retains_grad(tensor)) and _grad(tensor) is not None


def facts(tensor: Any) -> Facts:
    """Read any tensor, each fact on its own, so that one that can't be read doesn't take the others along."""
    if not is_tensor(tensor):
        return _not_a_tensor(tensor)
    problems: list[str] = []

    def read(get: Any, otherwise: Any) -> Any:
        try:
            return get(tensor)
        except Exception as error:  # noqa: BLE001 - whatever it is, it becomes the entry's text
            problems.append(reason(error))
            return otherwise

    kind = type(tensor)
    with refusing_dispatch(kind):
        is_lazy = descends(UninitializedParameter, kind) or descends(UninitializedBuffer, kind)
        dtype, device, layout = read(_dtype, None), read(_device, None), read(_layout, None)
        shape = None if is_lazy else read(_plain_shape, None)
        n = 0 if is_lazy else math.prod(shape) if shape is not None else read(_BASE.numel, 0) if not problems else 0
        asks, holds = read(_requires_grad, False), read(has_grad, False)
        size = read(_size_bytes, 0) if layout is not None and not is_lazy and shape is not None else 0
    known = Kind(
        shape, _name(dtype) if dtype else "?", str(device) if device else "?", _name(layout) if layout else "?", n, size
    )
    return Facts(known, asks, holds, "; ".join(dict.fromkeys(problems)) or None)


def freed(tensor: Any) -> str | None:
    """For a tensor without an address that should have one: whether its storage was given back."""
    try:
        with refusing_dispatch(type(tensor)):
            if _BASE.is_meta.__get__(tensor) or _layout(tensor) is not torch.strided:
                return None
            needed, held = _BASE.nbytes.__get__(tensor), _BASE.untyped_storage(tensor).nbytes()
    except (RuntimeError, ValueError, NotImplementedError, TypeError):
        return None
    return f"its storage was freed: it has {held} bytes" if needed and held < needed and not held else None


def _plain_shape(tensor: Any) -> tuple[int, ...]:
    shape = tuple(_shape(tensor))
    if not all(type(size) is int for size in shape):
        raise TypeError("its sizes vary from row to row")
    return shape


def _size_bytes(tensor: Any) -> int:
    components = sparse_components(tensor)
    if components is None:
        return int(_BASE.numel(tensor)) * int(_BASE.element_size(tensor))
    return sum(int(_BASE.numel(part)) * int(_BASE.element_size(part)) for part in components)


def _not_a_tensor(value: Any) -> Facts:
    nothing = Kind(None, "?", "?", "?", 0, 0)
    if is_packed(value):
        return Facts(nothing, False, False, "packed for a quantized kernel: its numbers can't be read in place")
    return Facts(nothing, False, False, f"not a tensor: {type_name(type(value))}")


def _name(of: torch.dtype | torch.layout) -> str:
    return str(of).removeprefix("torch.").lstrip("_")
