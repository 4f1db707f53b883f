"""What a checkpoint holds, described: plain values and containers, and in place of each tensor where its bytes lie.

Nobody changes a description. They aren't frozen only because that makes each take three times as long to make, and a
file may hold a hundred thousand.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal

import torch


@dataclass(slots=True)
class Storage:
    """A run of bytes in a file.

    Attributes:
        key: Its name within the checkpoint; two tensors of one key share their bytes.
        file: Index of the file in `CheckpointReader.files`.
        offset: Where it begins in the file.
        n_bytes: How many.
        crc32: What the file says its CRC-32 is; None where the format keeps none.
        is_swapped: Whether its elements are in the byte order that this machine hasn't.
        held: Its bytes, where they were in the middle of a pickle; else they are read from the file.
    """

    key: str
    file: int
    offset: int
    n_bytes: int
    crc32: int | None = None
    is_swapped: bool = False
    held: bytes | None = field(default=None, repr=False)


@dataclass(slots=True)
class Strided:
    """A strided tensor: a view of a storage.

    Attributes:
        dtype: Of its elements.
        shape: Its sizes.
        strides: Steps between elements, in elements.
        storage: Where its bytes are.
        first: Index of its first element in the storage, in elements.
        is_parameter: Whether it was written as a Parameter.
        requires_grad: As written.
        quantizer: Scheme, scales, zero points and axis of a quantized tensor, as torch's rebuild function takes them.
        is_conjugated: Whether its values are the conjugates of what is stored.
        is_negated: Whether its values are the negatives of what is stored.
    """

    dtype: torch.dtype
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    storage: Storage
    first: int = 0
    is_parameter: bool = False
    requires_grad: bool = False
    quantizer: tuple[Any, ...] | None = field(default=None, repr=False)
    is_conjugated: bool = False
    is_negated: bool = False

    @property
    def n_elements(self) -> int:
        """How many elements it has."""
        return math.prod(self.shape)

    @property
    def is_run(self) -> bool:
        """Whether its elements lie in the storage one after the other, in order, as they are."""
        if self.is_conjugated or self.is_negated:
            return False
        expected = 1
        for size, stride in zip(reversed(self.shape), reversed(self.strides), strict=True):
            if size == 0:
                return True
            if size != 1 and stride != expected:
                return False
            expected *= size
        return True


@dataclass(frozen=True, slots=True)
class Composed:
    """A tensor put together from others: a sparse one from indices and values, a distributed one from its pieces.

    Attributes:
        dtype: Of its elements.
        shape: Its sizes.
        layout: ``"sparse_coo"``, ``"sparse_csr"`` …; ``"strided"`` for one that was stored in pieces.
        parts: By their roles: ``"indices"`` and ``"values"``, ``"crow_indices"`` …; for pieces, their offsets as text,
            such as ``"0,128"``.
        is_coalesced: Of a sparse COO tensor; None where it isn't known.
        is_parameter: Whether it was written as a Parameter.
        requires_grad: As written.
    """

    dtype: torch.dtype
    shape: tuple[int, ...]
    layout: str
    parts: tuple[tuple[str, Strided], ...] = field(repr=False)
    is_coalesced: bool | None = None
    is_parameter: bool = False
    requires_grad: bool = False

    @property
    def n_elements(self) -> int:
        """How many elements it has, zeros that aren't stored included."""
        return math.prod(self.shape)


@dataclass(slots=True, eq=False, repr=False)
class Opaque:
    """An object of a class that isn't read here, described: none of the class's code has run.

    Attributes:
        class_name: The class's whole name, or that of the function that makes it, safe to show.
        arguments: What it would be made from.
        state: What would be set on it: its attributes by name, for most.
        items: What would be appended to it, or None.
        entries: What would be put into it by key, or None.
    """

    class_name: str
    arguments: Any = ()
    state: Any = None
    items: list[Any] | None = None
    entries: dict[Any, Any] | None = None

    def __repr__(self) -> str:
        return f"<{self.class_name}>"

    @property
    def attributes(self) -> Any:
        """The state, that of a class with slots as one dict."""
        state = self.state
        if type(state) is tuple and len(state) == _DICT_AND_SLOTS and type(state[1]) is dict:
            return {**(state[0] if type(state[0]) is dict else {}), **state[1]}
        return state

    @property
    def parts(self) -> Iterator[Any]:
        """The containers and values that it is described by."""
        return (each for each in (self.arguments, self.state, self.entries, self.items) if each is not None)

    @property
    def n_merged(self) -> int:
        """Attributes that are put together anew each time they are asked for."""
        state = self.state
        return sum(len(each) for each in state if type(each) is dict) if type(state) is tuple else 0

    @property
    def is_bare(self) -> bool:
        """Whether it holds nothing."""
        return self.state is None and not self.arguments and self.entries is None and self.items is None

    @property
    def roles(self) -> dict[str, Any]:
        """What there is of its arguments, state, entries and items, by these names."""
        given = {"arguments": self.arguments, "state": self.attributes, "entries": self.entries, "items": self.items}
        return {name: each for name, each in given.items() if not (each is None or each == ())}

    @property
    def told(self) -> Any:
        """What it holds: its state, entries, items or arguments where it has one of them, else a dict of these."""
        if not self.arguments and self.entries is None and self.items is None:
            return self.attributes
        given = self.roles
        return next(iter(given.values()), None) if len(given) < _SEVERAL else given


@dataclass(slots=True)
class Wrapped:
    """A tensor of a class that holds others and says what they mean, torchao's for instance.

    Attributes:
        dtype: That it has for others.
        shape: The same.
        class_name: The class's whole name.
        parts: The tensors that it holds, by name.
        attributes: What else it holds, described.
    """

    dtype: torch.dtype
    shape: tuple[int, ...]
    class_name: str
    parts: tuple[tuple[str, Strided], ...]
    attributes: dict[Any, Any]

    @property
    def n_elements(self) -> int:
        """How many elements it has for others."""
        return math.prod(self.shape)


def wrapped_in(values: Mapping[str, Any]) -> dict[str, Wrapped]:
    """Those of a state dict's other values that are tensors of a class that holds others."""
    made = {}
    for name, value in values.items():
        if type(value) is not Opaque or not _is_tensor_like(value.arguments) or value.class_name.endswith(".DTensor"):
            continue
        held = value.attributes if type(value.attributes) is dict else {}
        parts = tuple((key, each) for key, each in held.items() if type(key) is str and isinstance(each, Strided))
        if parts:
            rest = {key: each for key, each in held.items() if not isinstance(each, Strided)}
            dtype, shape = value.arguments
            made[name] = Wrapped(dtype, shape, value.class_name, parts, rest)
    return made


def _is_tensor_like(arguments: Any) -> bool:
    kinds = [type(each) for each in arguments] if type(arguments) is tuple else []
    return kinds == [torch.dtype, tuple]


Described = Strided | Composed
"""A tensor in a file."""

DESCRIBED = (Strided, Composed)
"""The classes of that: a check against both takes a third of the time that one against their union does."""

_WALKED = {*DESCRIBED, dict, list, tuple, Opaque}
_DICT_AND_SLOTS = _SEVERAL = 2

Step = tuple[Literal["key", "index"], Any]
"""One step into containers: a key of a dict or an index of a list."""


def tensors_in(content: Any) -> Iterator[tuple[tuple[Step, ...], Described]]:
    """Every tensor within nested containers, in order, with the steps that lead to it; then those within objects.

    What lies within an object is given once, however many lead to it.
    """
    objects: deque[tuple[tuple[Step, ...], Any]] = deque()
    seen: dict[int, Any] = {}
    waiting: list[tuple[tuple[Step, ...], Any]] = [((), content)]
    is_within = False
    while waiting or objects:
        if not waiting:
            steps, found = objects.popleft()
            waiting.append((steps, found.told))
            is_within = True
            continue
        steps, value = waiting.pop()
        if isinstance(value, Strided | Composed):
            yield steps, value
            continue
        if isinstance(value, Opaque) or is_within:
            if id(value) in seen:
                continue
            seen[id(value)] = value
        if isinstance(value, Opaque):
            if not value.is_bare:
                objects.append((steps, value))
        elif isinstance(value, dict):
            below: list[tuple[tuple[Step, ...], Any]] = [
                ((*steps, ("key", key)), each) for key, each in value.items() if type(each) in _WALKED and each
            ]
            waiting.extend(reversed(below))
        elif isinstance(value, list | tuple):
            # A list may be millions of numbers.
            below = [
                ((*steps, ("index", index)), each) for index, each in enumerate(value) if type(each) in _WALKED and each
            ]
            waiting.extend(reversed(below))


def name_of(steps: tuple[Step, ...]) -> str:
    """The name of a tensor within containers: keys that are text joined by dots, all else in brackets.

    Example:
        >>> name_of((("key", "model"), ("key", "0.weight"))), name_of((("key", "xs"), ("index", 1)))
        ('model.0.weight', 'xs[1]')
    """
    made = ""
    for kind, key in steps:
        if kind == "key" and isinstance(key, str):
            made += f".{key}" if made else key
        else:
            made += f"[{key!r}]"
    return made


def distinct_storages(tensors: Iterable[Described | Wrapped]) -> dict[str, Storage]:
    """The storages of some tensors by key, each once."""
    return {storage.key: storage for tensor in tensors for storage in storages_of(tensor)}


def storages_of(tensor: Described | Wrapped) -> tuple[Storage, ...]:
    """The storages that a tensor's bytes are in."""
    if isinstance(tensor, Strided):
        return (tensor.storage,)
    return tuple(part.storage for _, part in tensor.parts)


@cache
def dtype_name(dtype: torch.dtype) -> str:
    """``"float32"``."""
    return str(dtype).removeprefix("torch.")
