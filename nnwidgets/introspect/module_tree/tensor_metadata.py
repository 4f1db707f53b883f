"""What is known of a tensor without reading its data, read so that no code of a tensor class runs."""

from __future__ import annotations

import math
import sys
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter

from nnwidgets.formatting import counted
from nnwidgets.introspect.records import Held
from nnwidgets.introspect.safe_access.holders import FLAT_PARAMETERS, PACKED, flattened, holder_of
from nnwidgets.introspect.safe_access.modules import is_packed
from nnwidgets.introspect.safe_access.objects import (
    ORDINARY,
    descends,
    is_tensor,
    is_torchs_own,
    reason,
    refusing_dispatch,
    tensor_dict,
    type_name,
)
from nnwidgets.introspect.safe_access.own_values import GRADIENTS
from nnwidgets.introspect.safe_access.scan import ModelScan
from nnwidgets.introspect.safe_access.tensors import gradient_of
from nnwidgets.introspect.sharing.addresses import sparse_components

_BASE: Any = torch._C.TensorBase  # noqa: SLF001 - its properties can't be overridden by a subclass or an instance
_shape, _dtype, _device, _layout, _is_nested = (
    getattr(_BASE, name).__get__ for name in ("shape", "dtype", "device", "layout", "is_nested")
)
_requires_grad: Any = _BASE.requires_grad.__get__


class TensorSpec(NamedTuple):
    """What tensors of the same shape, dtype, device and layout have in common."""

    shape: tuple[int, ...] | None
    dtype: str
    device: str
    layout: str
    n_elements: int
    size_bytes: int


class Kinds(dict[Any, TensorSpec]):
    """Kinds by (shape, dtype, device, layout), made when first asked for; RuntimeError where that isn't strided."""

    def __missing__(self, key: tuple[Any, torch.dtype, torch.device, torch.layout]) -> TensorSpec:
        shape, dtype, device, layout = key
        if layout is not torch.strided:
            raise RuntimeError("not a strided tensor")
        n = math.prod(shape)
        kind = TensorSpec(tuple(shape), _name(dtype), str(device), _name(layout), n, n * dtype.itemsize)
        self[key] = kind
        return kind


class TensorTable:
    """What is known of all tensors of a scan, fact by fact.

    Attributes:
        kinds: By slot, shape, dtype, device, layout, number of elements and their bytes.
        asking: By slot, whether gradients are asked for.
        with_grad: By slot, whether there is one.
        class_names: By slot.
        sizes: By slot, bytes of its elements.
        problems: For some slots, what couldn't be read, and why.
        without_shape: Slots of lazy tensors, and of those whose shape can't be read.
        held: For slots whose tensor doesn't hold its elements itself: what does.
    """

    def __init__(self, scan: ModelScan) -> None:
        """Read them, inside `no_torch_function`."""
        self._first_slot = scan.first_slot
        self.problems: dict[int, str] = {}
        self.without_shape: list[int] = []
        self.held: dict[int, Held] = {}
        tensors = scan.slot_values
        if not scan.is_ordinary or not self._read_ordinary(tensors):
            self._read_any(tensors)
        for slot, held in flattened(scan) if FLAT_PARAMETERS in sys.modules else ():
            self._take(slot, tensors[slot], held)
        self.sizes = [kind.size_bytes for kind in self.kinds]

    def _take(self, slot: int, tensor: Any, held: Held | None) -> None:
        """Note what holds a tensor's elements, and count them as a whole."""
        if held is not None:
            self.held[slot] = held
            self.kinds[slot] = _spec_of(self.kinds[slot], tensor, held)

    def _read_ordinary(self, tensors: list[Any]) -> bool:
        kinds = Kinds()
        try:
            self.kinds = [kinds[each.shape, each.dtype, each.device, each.layout] for each in tensors]
            self.asking = [each.requires_grad for each in tensors]
            # Asked of a view whose base was written to since, as FSDP's flat parameters are by a step, this may raise.
            found = GRADIENTS.read(
                tensors, lambda: [each.grad if each.is_leaf else gradient_of(each) for each in tensors]
            )
            self.with_grad = [each is not None for each in found or ()]
        except RuntimeError:
            return False
        self.class_names = ["Parameter" if kind is nn.Parameter else "Tensor" for kind in map(type, tensors)]
        if any(map(_may_be_held, kinds.values())):
            for slot in [slot for slot, kind in enumerate(self.kinds) if _may_be_held(kind)]:
                self._take(slot, tensors[slot], holder_of(tensors[slot]))
        return True

    def _read_any(self, tensors: list[Any]) -> None:
        self.kinds, self.asking, self.with_grad, self.class_names = [], [], [], []
        for slot, tensor in enumerate(tensors):
            kind, asks, holds, problem = facts(tensor)
            self.kinds.append(kind)
            self.asking.append(asks)
            self.with_grad.append(holds)
            self.class_names.append(type_name(type(tensor)))
            if problem:
                self.problems[slot] = problem
            if kind.shape is None and not kind.n_elements:
                self.without_shape.append(slot)
            elif (
                kind.shape is not None
                and is_tensor(tensor)
                and (id(type(tensor)) not in ORDINARY or _may_be_held(kind))
            ):
                self._take(slot, tensor, holder_of(tensor))

    def first_size(self, row: int) -> str:
        """The size of a row's first tensor where it has one dimension, which is what a norm is for; else nothing."""
        begin, end = self._first_slot[row : row + 2]
        if begin == end:
            return ""
        shape = self.kinds[begin].shape
        return str(shape[0]) if shape is not None and len(shape) == 1 else ""


def _may_be_held(spec: TensorSpec) -> bool:
    """Whether something else may hold the elements of a tensor of one of torch's own classes: a stub's, packed ones."""
    return not spec.n_elements or spec.dtype in PACKED


def _spec_of(spec: TensorSpec, tensor: Any, held: Held) -> TensorSpec:
    n = held.n_elements
    if held.kind != "shard":
        return spec._replace(n_elements=n, size_bytes=held.local_bytes)
    return spec._replace(shape=held.shape, n_elements=n, size_bytes=n * int(_BASE.element_size(tensor)))


class Facts(NamedTuple):
    """What is known of one tensor."""

    kind: TensorSpec
    requires_grad: bool
    has_grad: bool
    problem: str | None


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
        asks, holds = read(_requires_grad, False), read(gradient_of, None) is not None
        size = read(_size_bytes, 0) if layout is not None and not is_lazy and shape is not None else 0
        if shape is None and not is_lazy and read(_is_nested, False):
            n, problems = _nested_elements(tensor), ["a nested tensor: its parts have shapes of their own"]
            size = n * int(_BASE.element_size(tensor))
    known = TensorSpec(
        shape, _name(dtype) if dtype else "?", str(device) if device else "?", _name(layout) if layout else "?", n, size
    )
    return Facts(known, asks, holds, "; ".join(dict.fromkeys(problems)) or None)


def freed_reason(tensor: Any) -> str | None:
    """For a tensor without an address that should have one: whether its storage was given back."""
    try:
        with refusing_dispatch(type(tensor)):
            if _BASE.is_meta.__get__(tensor) or _layout(tensor) is not torch.strided:
                return None
            needed, held = _BASE.nbytes.__get__(tensor), _BASE.untyped_storage(tensor).nbytes()
    except (RuntimeError, ValueError, NotImplementedError, TypeError):
        return None
    return f"its storage was freed: it has {counted(held, 'byte')}" if needed and held < needed and not held else None


def _nested_elements(tensor: Any) -> int:
    """How many elements the parts of a nested tensor have together; a jagged one keeps them in another tensor."""
    values = tensor_dict(tensor).get("_values") if is_torchs_own(type(tensor)) else None
    return int(_BASE.numel(values if is_tensor(values) else tensor))


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
    nothing = TensorSpec(None, "?", "?", "?", 0, 0)
    if is_packed(value):
        return Facts(nothing, False, False, "packed for a quantized kernel: its numbers can't be read in place")
    return Facts(nothing, False, False, f"not a tensor: {type_name(type(value))}")


def _name(of: torch.dtype | torch.layout) -> str:
    return str(of).removeprefix("torch.").lstrip("_")
