"""What is to be saved, made plain: containers, plain values, and for each tensor what its writing needs.

Whatever `torch.load` would have to run code for is refused here, by its place.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import torch
from torch import nn

from nnwidgets.checkpoint.description import Step, dtype_name, name_of
from nnwidgets.checkpoint.writing.wrapped_tensors import WrappedToSave, wrapped_to_save
from nnwidgets.errors import InvalidTargetError, SaveError
from nnwidgets.formatting import some
from nnwidgets.introspect.safe_access import objects
from nnwidgets.introspect.safe_access.holders import holder_of, is_dtensor, is_wrapper
from nnwidgets.introspect.safe_access.tensors import as_plain_tensor, plain_torch, torch_attribute, unreadable_reason

_PLAIN = (type(None), bool, int, float, complex, str, bytes, bytearray)
_OF_TORCH = (torch.dtype, torch.device, torch.layout, torch.Size)
_PER_TENSOR = {torch.per_tensor_affine, torch.per_tensor_symmetric}
_COMPRESSED: dict[Any, tuple[str, str]] = {
    torch.sparse_csr: ("crow_indices", "col_indices"),
    torch.sparse_bsr: ("crow_indices", "col_indices"),
    torch.sparse_csc: ("ccol_indices", "row_indices"),
    torch.sparse_bsc: ("ccol_indices", "row_indices"),
}


@dataclass(slots=True, eq=False)
class TensorToSave:
    """A tensor to be written.

    Attributes:
        name: Its place: ``"0.weight"``, ``"xs[1]"``.
        data: Its data as a plain tensor that shares its memory; of a sparse one, only its dtype and shape count.
        live: The tensor itself.
        is_parameter: Whether it is a Parameter.
        requires_grad: As it is.
        parts: Of a sparse tensor its indices and values, of one quantized by channel its scales and zero points.
        is_coalesced: Of a sparse COO tensor.
    """

    name: str
    data: torch.Tensor
    live: torch.Tensor
    is_parameter: bool = False
    requires_grad: bool = False
    parts: tuple[TensorToSave, ...] = ()
    is_coalesced: bool = False

    @property
    def is_strided(self) -> bool:
        """Whether its bytes are in a storage of its own."""
        return self.data.layout is torch.strided

    def strided(self) -> Iterator[TensorToSave]:
        """It and its parts, as far as they have a storage."""
        if self.is_strided:
            yield self
        for part in self.parts:
            yield from part.strided()


@dataclass(slots=True)
class Contents:
    """Something to be saved.

    Attributes:
        tree: It, with a `TensorToSave` in place of each tensor.
        named: Every place of a tensor, in order, and what is there; one object under two names is one of these.
        n_tensors: How many those are, one that holds others counted as one.
        warnings: What won't be as it was.
    """

    tree: Any
    named: list[tuple[str, TensorToSave]] = field(default_factory=list)
    n_tensors: int = 0
    warnings: list[str] = field(default_factory=list)


def contents_of(obj: Any, *, takes_parts: bool = False) -> Contents:
    """Make plain what is to be saved; nothing of it is copied.

    Args:
        obj: It.
        takes_parts: Whether of a tensor that is spread over ranks the part here will do.

    Raises:
        SaveError: Something in it isn't plain, or a tensor's data can't be read.
    """
    made = Contents(None)
    try:
        with plain_torch():
            made.tree = _Walk(made, takes_parts=takes_parts).value(obj, ())
            leaves = list(_named_leaves(made.tree, ()))
            made.n_tensors = len(leaves)
            made.named = [each for name, leaf in leaves for each in _tensors_of(name, leaf)]
    except RecursionError:
        raise SaveError(
            "It is nested too deeply to be saved.", hint="Save a flat dict of tensors instead. Nothing was changed."
        ) from None
    return made


class _Walk:
    def __init__(self, made: Contents, *, takes_parts: bool) -> None:
        self._made, self._takes_parts = made, takes_parts
        self._known: dict[int, Any] = {}
        self._open: set[int] = set()
        self._tensors: dict[int, TensorToSave | WrappedToSave] = {}
        self._kept: list[Any] = []

    def value(self, value: Any, steps: tuple[Step, ...]) -> Any:
        if objects.is_tensor(value):
            return self._tensor(value, steps)
        kind = type(value)
        if kind in _PLAIN or kind in _OF_TORCH:
            return value
        for base, begin in _CONTAINERS.items():
            if objects.descends(base, kind):
                return self._container(value, steps, begin)
        for base in (str, int, float):
            if objects.descends(base, kind):
                return CONVERT[base](value)
        raise _refusal(value, steps)

    def _container(self, value: Any, steps: tuple[Step, ...], begin: Callable[..., Any]) -> Any:
        known = self._known.get(id(value))
        if known is not None:
            return known
        if id(value) in self._open:
            raise SaveError(
                f"{_where(steps)} holds itself.", path=name_of(steps) or None, hint="Take the circle out of it."
            )
        self._open.add(id(value))
        made = begin(self, value, steps)
        self._open.discard(id(value))
        self._known[id(value)] = made
        self._kept.append(value)
        return made

    def mapping(self, value: Any, steps: tuple[Step, ...]) -> Any:
        made: Any = OrderedDict() if objects.is_a(value, OrderedDict) else {}
        for key, each in objects.plain_items(value):
            below: tuple[Step, ...] = (*steps, ("key", key))
            made[self._key(key, steps)] = self.value(each, below)
        metadata = getattr(value, "_metadata", None) if type(value) is OrderedDict else None
        if metadata is not None:
            try:
                made._metadata = self.value(metadata, (*steps, ("key", "_metadata")))  # noqa: SLF001 - torch's own
            except SaveError as error:
                self._made.warnings.append(f"The versions that torch keeps with a state dict aren't saved: {error}")
        return made

    def sequence(self, value: Any, steps: tuple[Step, ...]) -> Any:
        below = [self.value(each, (*steps, ("index", index))) for index, each in enumerate(value)]
        return below if objects.is_a(value, list) else tuple(below)

    def collection(self, value: Any, steps: tuple[Step, ...]) -> Any:
        return {self._key(each, steps) for each in value}

    def _key(self, key: Any, steps: tuple[Step, ...]) -> Any:
        if objects.is_a(key, tuple):
            return tuple(self._key(each, steps) for each in key)
        if type(key) in _PLAIN or type(key) in _OF_TORCH:
            return key
        for base in (str, int, float):
            if objects.is_a(key, base):
                return CONVERT[base](key)
        raise SaveError(
            f"{_where(steps)} has a key that is a {objects.type_name(type(key))}, expected text or a number.",
            path=name_of(steps) or None,
            hint="Save it under names. Nothing was changed.",
        )

    def _tensor(self, value: Any, steps: tuple[Step, ...]) -> TensorToSave | WrappedToSave:
        known = self._tensors.get(id(value))
        if known is None:
            known = self._wrapped(value, steps) if is_wrapper(value) else self._to_save(value, name_of(steps))
            self._tensors[id(value)] = known
        return known

    def _wrapped(self, value: Any, steps: tuple[Step, ...]) -> WrappedToSave:
        name, kind = name_of(steps), objects.type_name(type(value))
        with objects.no_torch_function():
            held = holder_of(value)
        how = "" if held is None else held.how

        def to_save(part: str, tensor: Any) -> TensorToSave:
            return self._to_save(tensor, name_of((*steps, _STATE, ("key", part))))

        made = wrapped_to_save(value, how, to_save)
        if made is None:
            raise SaveError(
                f"{name or 'The tensor'} can't be saved: it is a {kind}, {how}, and torch.load takes that class, or "
                "something that it holds, for no plain data.",
                path=name or None,
                hint="Save it as plain tensors. Nothing was changed.",
            )
        return made

    def _to_save(self, value: Any, name: str) -> TensorToSave:
        kind = type(value)
        if (kind is torch.Tensor or kind is nn.Parameter) and _is_ordinary(value):
            return TensorToSave(name, value.detach(), value, kind is nn.Parameter, value.requires_grad)
        is_part = self._takes_parts and is_dtensor(kind)
        data = _data(value, name, is_part=is_part)
        if str(data.layout) == "torch._mkldnn":
            self._made.warnings.append(f"{name or 'The tensor'} is laid out for MKL-DNN and is saved as a plain one.")
            data = data.to_dense()
        if kind not in (torch.Tensor, nn.Parameter) and not is_part:
            self._made.warnings.append(
                f"{name or 'The tensor'} is a {objects.type_name(kind)} and is saved as the plain tensor of its data."
            )
        tensor = TensorToSave(
            name, data, value, objects.is_a(value, nn.Parameter), torch_attribute(value, "requires_grad")
        )
        if data.layout is torch.sparse_coo:
            tensor.parts = _parts(name, indices=data._indices(), values=data._values())  # noqa: SLF001 - uncoalesced ones have no other
            tensor.is_coalesced = data.is_coalesced()
        elif data.layout in _COMPRESSED:
            tensor.parts = _parts(
                name,
                **{each: getattr(data, each)() for each in _COMPRESSED[data.layout]},
                values=data.values(),
            )
        elif data.is_quantized and data.qscheme() not in _PER_TENSOR:
            tensor.parts = _parts(
                name, scales=data.q_per_channel_scales(), zero_points=data.q_per_channel_zero_points()
            )
        return tensor


def _is_ordinary(value: torch.Tensor) -> bool:
    """Whether a tensor of torch's own class lies in memory that is there, as nearly all do."""
    if (
        value.is_nested
        or value.layout is not torch.strided
        or value.is_quantized
        or value.device.type not in ("cpu", "cuda")
    ):
        return False
    if torch._C._functorch.is_functorch_wrapped_tensor(value) or value._is_zerotensor():  # noqa: SLF001 - as readable asks
        return False
    storage = value.untyped_storage()
    reach = 1 + sum((size - 1) * stride for size, stride in zip(value.shape, value.stride(), strict=True))
    needed = (value.storage_offset() + reach) * value.element_size()
    return not value.numel() or (storage.nbytes() >= needed and storage.data_ptr() != 0)


def _data(value: Any, name: str, *, is_part: bool) -> torch.Tensor:
    try:
        data = as_plain_tensor(value)
    except InvalidTargetError as error:
        reason = unreadable_reason(value) or error.message
        said = f"{name or 'The tensor'} can't be saved: {reason}."
        raise SaveError(said, path=name or None, hint=_hint(reason)) from None
    here, whole = tuple(data.shape), tuple(torch_attribute(value, "size")())
    if here != whole and not is_part:
        raise SaveError(
            f"{name} is distributed: this process has {here} of its {whole}.",
            path=name,
            hint="Gather it first, with full_tensor(), or save on all ranks of its process group. Nothing was changed.",
        )
    return data


def _named_leaves(tree: Any, steps: tuple[Step, ...]) -> Iterator[tuple[str, TensorToSave | WrappedToSave]]:
    if type(tree) in (TensorToSave, WrappedToSave):
        yield name_of(steps), tree
    elif isinstance(tree, dict):
        for key, each in tree.items():
            yield from _named_leaves(each, (*steps, ("key", key)))
    elif isinstance(tree, list | tuple):
        for index, each in enumerate(tree):
            yield from _named_leaves(each, (*steps, ("index", index)))


def _tensors_of(name: str, leaf: Any) -> list[tuple[str, Any]]:
    """It, or what it holds, by the names that a reader of the file has for that."""
    if type(leaf) is TensorToSave:
        return [(name, leaf)]
    return list(_named_leaves(leaf.state, (("key", name), _STATE) if name else (_STATE,)))


_STATE: Step = ("key", "state")


def _parts(name: str, **tensors: torch.Tensor) -> tuple[TensorToSave, ...]:
    return tuple(TensorToSave(f"{name}.{role}", each.detach(), each) for role, each in tensors.items())


def _refusal(value: Any, steps: tuple[Step, ...]) -> SaveError:
    kind = objects.type_name(type(value))
    if objects.is_module(value):
        hint = "Save its state_dict(), or the module alone."
    elif kind == "ndarray":
        hint = "Save torch.from_numpy of it."
    elif type(value).__module__ == "numpy":
        hint = "Save its item()."
    elif kind == "ScriptObject":
        hint = "It is packed weights, say of a quantized LSTM: torch.save alone writes those. Save the float model."
    elif hasattr(value, "getvalue"):
        hint = "Save its getvalue()."
    elif objects.is_a(value, Enum):
        hint = "Save its value."
    elif hasattr(type(value), "__dataclass_fields__"):
        hint = "Save dataclasses.asdict of it."
    elif hasattr(value, "__dict__"):
        hint = "Save vars() of it, or what you need of it."
    else:
        hint = "Save its text, or what you need of it."
    return SaveError(
        f"{_where(steps)} is a {kind}; tensors, numbers, text, lists and dicts of them can be saved, and read back "
        "without running code.",
        path=name_of(steps) or None,
        hint=f"{hint} Nothing was changed.",
    )


def _where(steps: tuple[Step, ...]) -> str:
    return name_of(steps) or "What is to be saved"


def _hint(reason: str) -> str:
    if "meta device" in reason or "fake" in reason:
        return "Give it data first, with to_empty() and an initializer, or by loading. Nothing was changed."
    if "lazy" in reason:
        return "Run one forward first. Nothing was changed."
    if "freed" in reason:
        return "Gather the sharded parameters first. Nothing was changed."
    if "nested" in reason:
        return "Save the list of its parts, unbind(). Nothing was changed."
    return "Leave it out, or save a plain tensor of it. Nothing was changed."


def describe(tensor: TensorToSave) -> str:
    """``float32 [3, 2]``."""
    return f"{dtype_name(tensor.data.dtype)} {list(tensor.data.shape)}"


CONVERT: dict[type, Callable[[Any], Any]] = {str: str.__str__, int: int.__int__, float: float.__float__}
"""How a number or text of a class of its own is written: as the plain one."""
_CONTAINERS: dict[type, Callable[..., Any]] = {
    dict: _Walk.mapping,
    list: _Walk.sequence,
    tuple: _Walk.sequence,
    set: _Walk.collection,
}


_MOST_NAMES = 3


class Versions:
    """The version counters of some tensors, as they were; writes past them, by ``.data`` or numpy, go unseen."""

    def __init__(self, named: Iterable[tuple[str, TensorToSave]]) -> None:
        self._named = list(named)
        self._before = self._now()

    def _now(self) -> list[int | None]:
        with plain_torch():
            return [_version(tensor) for _, tensor in self._named]

    def warnings(self) -> list[str]:
        """What to say of tensors that were written to since."""
        changed = [name for (name, _), a, b in zip(self._named, self._before, self._now(), strict=True) if a != b]
        if not changed:
            return []
        said = f"{some(changed, _MOST_NAMES)} changed while it was saved: the file may mix values of before and after."
        return [f"{said} Save again when nothing trains."]


def _version(tensor: TensorToSave) -> int | None:
    try:
        found: int = torch_attribute(tensor.live, "_version")
    except RuntimeError:  # inference tensors keep none
        return None
    return found
