"""Looking into a checkpoint without reading its tensors."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal

from nnwidgets.checkpoint.description import (
    DESCRIBED,
    Composed,
    Described,
    Opaque,
    Step,
    Strided,
    dtype_name,
    name_of,
    tensors_in,
)
from nnwidgets.checkpoint.formats import CheckpointReader, open_checkpoint
from nnwidgets.checkpoint.formats.reader import span
from nnwidgets.checkpoint.objects.pickled_module import is_pickled_module
from nnwidgets.checkpoint.records import CheckpointIndex, StoredTensor
from nnwidgets.checkpoint.state_dict import StateDictLocation, find, rest_of
from nnwidgets.formatting import counted, inert, letters, repr_start
from nnwidgets.introspect.module_tree.tree import mutable_class
from nnwidgets.introspect.records import TieGroup, TieKind
from nnwidgets.introspect.safe_access.scan import gc_paused
from nnwidgets.introspect.sharing import byte_ranges

# Of 50,000 names, made one by one by their class, a peek takes a fifth longer.
_OpenStored = mutable_class(StoredTensor)

_MOST_VALUES = 200
_MOST_TEXT = 200


@gc_paused()
def peek(path: str | os.PathLike[str]) -> CheckpointIndex:
    """Tell what is in a checkpoint from its headers: no tensor's bytes are read, and no code in it runs.

    Args:
        path: A file, a sharded checkpoint's index, or the folder of a sharded or distributed one; its format is told by
            its content.

    Raises:
        PathNotFoundError: Nothing is there.
        UnsafeCheckpointError: It would have to run code to be read.
        CorruptCheckpointError: It is damaged, or no checkpoint.

    Example:
        >>> import tempfile, torch
        >>> from safetensors.torch import save_file
        >>> file = tempfile.mkdtemp() + "/mlp.safetensors"
        >>> save_file({"0.weight": torch.zeros(3, 2), "0.bias": torch.zeros(3)}, file)
        >>> peek(file).names, peek(file).tensors[1].shape
        (('0.bias', '0.weight'), (3, 2))
    """
    with open_checkpoint(path) as held:
        return index_of(held, find(held))


@gc_paused()
def index_of(held: CheckpointReader, found: StateDictLocation) -> CheckpointIndex:
    """The index of an open checkpoint; its ``tensors`` are those of a state dict in it."""
    named, rest = named_tensors(held, found)
    ties, letter_of, said = _ties(named)
    names = tuple(file.path.name for file in held.files)
    return CheckpointIndex(
        path=str(held.path),
        format=held.format,
        tensors=tuple(_stored_tensor(name, each, letter_of.get(name), names) for name, each in named.items()),
        rest=tuple(_stored_tensor(name, each, None, names) for name, each in rest.items()),
        metadata=MappingProxyType(dict(held.metadata)),
        values=MappingProxyType(_values(held.content)),
        ties=ties,
        size_bytes=held.size_bytes,
        files=names,
        state_dict=found.key,
        optimizer=next(iter(found.optimizers), None),
        departures=(*held.departures, *said),
        entries=found.entries,
    )


def named_tensors(
    held: CheckpointReader, found: StateDictLocation
) -> tuple[Mapping[str, Described], Mapping[str, Described]]:
    """The tensors of a state dict by name, and the others of its file by place; all by place where there is none."""
    rest = rest_of(held.content, found)
    return (rest, {}) if found.key is None else (found.tensors, rest)


def size_bytes(tensor: Described) -> int:
    """Bytes of a tensor's elements; of a sparse one, of what is stored."""
    if isinstance(tensor, Composed) and tensor.layout != "strided":
        return sum(size_bytes(part) for _, part in tensor.parts)
    return tensor.n_elements * tensor.dtype.itemsize


def _stored_tensor(name: str, tensor: Described, tie: str | None, files: tuple[str, ...]) -> StoredTensor:
    first = tensor if isinstance(tensor, Strided) else tensor.parts[0][1] if tensor.parts else None
    made = _OpenStored()
    made.name, made.shape, made.dtype, made.tie = name, tensor.shape, dtype_name(tensor.dtype), tie
    made.n_elements = n_elements = tensor.n_elements
    if isinstance(tensor, Strided):
        made.size_bytes, made.layout = n_elements * tensor.dtype.itemsize, "strided"
    else:
        made.size_bytes, made.layout = size_bytes(tensor), tensor.layout
    made.file = files[first.storage.file] if first is not None and first.storage.file < len(files) else ""
    made.__class__ = StoredTensor
    stored: StoredTensor = made
    return stored


def _ties(named: Mapping[str, Described]) -> tuple[tuple[TieGroup, ...], dict[str, str], list[str]]:
    """Names whose bytes in the file meet, and what is to be said of those of which that isn't told."""
    keys = [tensor.storage.key for tensor in named.values() if isinstance(tensor, Strided)]
    if len(set(keys)) == len(keys):
        return (), {}, []
    by_storage: dict[str, list[str]] = {}
    for name, tensor in named.items():
        if isinstance(tensor, Strided) and tensor.n_elements:
            by_storage.setdefault(tensor.storage.key, []).append(name)
    groups: list[tuple[tuple[str, ...], int]] = []
    said: list[str] = []
    for names in by_storage.values():
        if len(names) > 1:
            try:
                groups += _connected(names, named)
            except byte_ranges.Interleaved:
                said.append(
                    f"Which of {counted(len(names), 'tensor')} over one storage, {inert(names[0])} the first, "
                    "share bytes isn't "
                    "told: they lie through each other too finely."
                )
    order = {name: index for index, name in enumerate(named)}
    made: list[TieGroup] = []
    for index, (members, shared) in enumerate(sorted(groups, key=lambda each: order[each[0][0]])):
        made.append(TieGroup(letters(index), _kind([named[name] for name in members]), members, shared))
    return tuple(made), {name: group.id for group in made for name in group.members}, said[:_MOST_SAID]


def _connected(names: Sequence[str], named: Mapping[str, Described]) -> list[tuple[tuple[str, ...], int]]:
    """Names over one storage whose bytes meet, each group with how many bytes more than one of them has."""
    made = []
    for those in byte_ranges.connected(_ranges(names, named), most=_MOST_PIECES):
        members = tuple(names[index] for index in those)
        covered = byte_ranges.coverage(_ranges(members, named), most=_MOST_PIECES)
        made.append((members, sum(n for owners, n in covered.items() if len(owners) > 1)))
    return made


def _ranges(names: Sequence[str], named: Mapping[str, Described]) -> Iterator[byte_ranges.ByteRanges]:
    for index, name in enumerate(names):
        tensor: Any = named[name]
        width = tensor.dtype.itemsize
        ranges = byte_ranges.piece(tensor.first * width, tensor.shape, tensor.strides, width, index)
        if ranges is not None:
            yield ranges


def _kind(tensors: list[Described]) -> TieKind:
    one: Any = tensors[0]
    others: list[Any] = tensors[1:]
    form = (one.first, one.shape, one.strides, one.dtype)
    if all((each.first, each.shape, each.strides, each.dtype) == form for each in others):
        return "storage"
    widths = [(each, each.dtype.itemsize) for each in tensors if isinstance(each, Strided)]
    ends = {(each.first * n, (each.first + span(each)) * n, each.n_elements * n) for each, n in widths}
    return "view" if len(ends) == 1 else "overlap"


def _values(content: Any) -> dict[str, str]:
    """Plain values beside the tensors, as short text, the first ones of many."""
    made: dict[str, str] = {}
    # Iterators, not lists: a container may hold millions of numbers, and only the first values are told.
    waiting: list[Iterator[tuple[tuple[Step, ...], Any]]] = [iter([((), content)])]
    seen: dict[int, Any] = {}
    while waiting and len(made) < _MOST_VALUES:
        found = next(waiting[-1], None)
        if found is None:
            waiting.pop()
            continue
        steps, value = found
        if isinstance(value, Opaque):
            made[name_of(steps) or "(all)"] = _object_in_words(value)
            is_new, seen[id(value)] = id(value) not in seen, value
            # The thousand attributes of a module's parts tell nothing that its tensors don't.
            if is_new and not is_pickled_module(value):
                waiting.append(_items(steps, value.entries or value.items or value.attributes))
            continue
        is_container = isinstance(value, dict | list | tuple)
        if is_container and (not steps or len(value) > _FEW or any(True for _ in tensors_in(value))):
            waiting.append(_items(steps, value))
        elif not isinstance(value, DESCRIBED):
            made[name_of(steps)] = inert(repr_start(value, 2 * _MOST_TEXT), _MOST_TEXT)
    return made


def _object_in_words(value: Opaque) -> str:
    if is_pickled_module(value):
        return f"{value!r}, a pickled module"
    return inert(f"{value.class_name}{repr_start(value.arguments)}", _MOST_TEXT) if value.arguments else repr(value)


def _items(steps: tuple[Step, ...], value: Any) -> Iterator[tuple[tuple[Step, ...], Any]]:
    kind: Literal["key", "index"] = "key" if isinstance(value, dict) else "index"
    inside = value.items() if isinstance(value, dict) else enumerate(value if isinstance(value, list | tuple) else ())
    return (((*steps, (kind, key)), each) for key, each in inside if not isinstance(each, DESCRIBED))


_FEW = 16
_MOST_PIECES = 20_000
_MOST_SAID = 8
