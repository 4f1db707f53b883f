"""Either side of a comparison: a file, a live model, a dict of tensors; read part by part."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from pathlib import PurePath
from typing import Any, Protocol

import torch

from nnwidgets.checkpoint.bytes_equal import as_contiguous_cpu, quantizer_of
from nnwidgets.checkpoint.description import Described, Strided, distinct_storages, dtype_name, tensors_in, wrapped_in
from nnwidgets.checkpoint.entries import EXTRA_STATE
from nnwidgets.checkpoint.formats import CheckpointReader, open_checkpoint
from nnwidgets.checkpoint.loading.layouts.conversions import as_wanted
from nnwidgets.checkpoint.loading.plan import state_dict_in
from nnwidgets.checkpoint.own_code.parts import own_code_in
from nnwidgets.checkpoint.read import ContentReader
from nnwidgets.checkpoint.records import Conversion
from nnwidgets.checkpoint.state_dict import StateDictLocation, name_in_state_dict, saved_entries, state_of
from nnwidgets.checkpoint.stored_part import cut, is_strided, located_within, pieces_of
from nnwidgets.edit.over_ranks.part import Part, part_of
from nnwidgets.errors import InvalidTargetError, PathNotFoundError
from nnwidgets.formatting import inert, shape_text
from nnwidgets.introspect import LiveModel
from nnwidgets.introspect.module_tree.tree import tree_of
from nnwidgets.introspect.safe_access.holders import holder_of, is_wrapper, whose, wrapped_tensors
from nnwidgets.introspect.safe_access.objects import (
    ORDINARY,
    is_a,
    is_module,
    is_tensor,
    no_torch_function,
    plain_items,
    type_name,
    whole_name,
)
from nnwidgets.introspect.safe_access.tensors import as_plain_tensor, how_to_read, torch_attribute, unreadable_reason
from nnwidgets.introspect.tracing.unsharded import live_with_shards

PIECE_BYTES = 2**21
"""Of one side: many enough to share out, few enough for the cache that the cores have in common."""


def piece_bounds(shape: tuple[int, ...], width: int, *, is_run: bool, is_cut: bool) -> Iterator[tuple[int, int]]:
    """Where the pieces of a tensor begin and end, of a run counted in elements, else in rows.

    Args:
        shape: Its sizes.
        width: Bytes of an element.
        is_run: As `OperandTensor` has it.
        is_cut: The same.
    """
    n = math.prod(shape) if is_run else shape[0] if shape else 1
    n_bytes = width if is_run else max(1, math.prod(shape[1:]) * width)
    step = max(1, PIECE_BYTES // n_bytes if is_run or is_cut else n)
    return ((start, min(n, start + step)) for start in range(0, n, step))


class OperandTensor(Protocol):
    """One tensor of a side.

    Attributes:
        shape: Its sizes.
        dtype: Of its elements.
        is_cut: Whether rows of it can be had without the rest.
        is_run: Whether any elements of it can: they lie one after the other.
        quantizer: What its codes mean, where it is quantized; known when its rows were asked for.
        part: Which part of it is here, where ranks hold it together; `shape` is the whole's.
        of: Whose numbers a comparison with it gives: ``"all"``, or ``"rank 2: 8 × 64 of 32 × 64"``.
    """

    shape: tuple[int, ...]
    part: Part | None
    of: str
    dtype: torch.dtype
    is_cut: bool
    is_run: bool
    quantizer: tuple[Any, ...] | None

    def elements(self, start: int, stop: int, buffer: torch.Tensor) -> torch.Tensor:
        """Elements of a run, in one dimension, on the CPU; in ``buffer``, where it holds them, if they are read."""

    def rows(self, start: int, stop: int, buffer: torch.Tensor) -> torch.Tensor:
        """Rows of it on the CPU, contiguous; in ``buffer`` where they have to be copied. All of it if it isn't cut.

        Of a quantized one the numbers that its codes mean.
        """

    def within(self, part: Part) -> OperandTensor:
        """What it has of a part, as a tensor by itself.

        Raises:
            InvalidTargetError: It has another part.
        """


class Operand:
    """Tensors by name.

    Attributes:
        label: What the side is called.
        parts: The tensors.
        values: What the state dict holds besides, extra state for instance.
        entry: Which state dict of its file it is.
        live: The model, where it is one.
    """

    def __init__(
        self,
        label: str,
        parts: Mapping[str, OperandTensor],
        values: Mapping[str, Any] | None = None,
        held: CheckpointReader | None = None,
        entry: str | None = None,
        *,
        live: LiveModel | None = None,
    ) -> None:
        self.label = label
        self.live = live
        self.parts = parts
        self.values = values or {}
        self.entry = entry
        self._held = held

    def close(self) -> None:
        """Close its file, where it is one."""
        if self._held is not None:
            self._held.close()


class MadeSide:
    """What is a side by itself, such as a mark."""

    __slots__ = ()

    def as_operand(self) -> Operand:
        """The side."""
        raise NotImplementedError


def operands_of(a: Any, b: Any, entry: str | None = None) -> tuple[Operand, Operand]:
    """Make the two sides of a comparison, each of a path, a module, or a dict of tensors.

    Of a file with several state dicts, the one called ``entry`` is taken; else the one called as the other file's; else
    the one that fits the other side best.

    Raises:
        InvalidTargetError: A side is something else, or a tensor of it has no data; ``entry`` has no file to be in.
        PathNotFoundError: There is no such file, or no state dict called ``entry``.
        CheckpointMismatchError: A file holds no state dict, or several that fit equally.
    """
    with ExitStack() as opened:
        # A mark has what the tree has: no code of the model's own was run for it.
        is_tree = any(is_a(each, MadeSide) for each in (a, b))
        sides = [_open(each, opened, with_own_code=not is_tree) for each in (a, b)]
        files = [each for each in sides if isinstance(each, CheckpointReader)]
        if entry is not None and not files:
            raise InvalidTargetError(
                "entry names a state dict in a file, and neither side is one.", hint="Leave entry out."
            )
        named = {id(file): _named_entry(file, entry, is_last=len(files) == 1) for file in files}
        if entry is not None and not any(named.values()):
            state_dict_in(files[-1], None, entry)
        # What is taken from a file depends on the other side, where that leaves no choice.
        order = sorted((0, 1), key=lambda at: _n_choices(sides[at], named, is_alone=len(files) == 1))
        made: dict[int, Operand] = {}
        for at in order:
            side, other = sides[at], made.get(1 - at)
            if isinstance(side, Operand):
                made[at] = side
            else:
                name = PurePath(os.fsdecode(os.fspath((a, b)[at]))).name
                made[at] = _file_operand(name, side, named[id(side)], other)
        opened.pop_all()
        return made[0], made[1]


def _open(value: Any, opened: ExitStack, *, with_own_code: bool) -> Operand | CheckpointReader:
    """A side in memory, or an open file."""
    if is_a(value, MadeSide):
        made: Operand = value.as_operand()
        return made
    if not is_module(value) and isinstance(value, str | os.PathLike):
        return opened.enter_context(open_checkpoint(value))
    if is_module(value):
        live = live_with_shards(value)
        state = _state_of(value, live) if with_own_code else _saved_tensors(live)
        values = {path: each for path, each in state.items() if not is_tensor(each) and path.endswith(EXTRA_STATE)}
        return _operand_in_memory(type_name(type(value)), state, values, live)
    if is_a(value, dict) and all(is_tensor(each) for each in dict.values(value)):
        return _operand_in_memory("a dict", {str(key): each for key, each in dict.items(value)}, {}, None)
    raise InvalidTargetError(
        f"A {type_name(type(value))} can't be compared, expected a path, a module, a snapshot, or a dict of tensors.",
        hint='Such as diff("before.pt", net).',
    )


def _operand_in_memory(label: str, state: Mapping[str, Any], values: dict[str, Any], live: LiveModel | None) -> Operand:
    """A side of live tensors; one that a wrapping class keeps in others is these, and the name of the class."""
    parts: dict[str, OperandTensor] = {}
    for path, tensor in state.items():
        if not is_tensor(tensor):
            continue
        if is_wrapper(tensor):
            values[path] = ClassName(whole_name(type(tensor)))
            within = wrapped_tensors(tensor)
            parts.update((f"{path}.{name}", _live(each, f"{path}.{name}")) for name, each in within)
        else:
            parts[path] = _live(tensor, path)
    return Operand(label, parts, values, live=live)


class ClassName(str):
    """What stands for a tensor of a wrapping class, beside the tensors that it holds."""

    __slots__ = ()


def _named_entry(file: CheckpointReader, entry: str | None, *, is_last: bool) -> StateDictLocation | None:
    """The state dict called ``entry``; None where a file has none, and another file may."""
    if entry is None:
        return None
    try:
        return state_dict_in(file, None, entry)
    except PathNotFoundError:
        if is_last:
            raise
        return None


def _n_choices(
    side: Operand | CheckpointReader, named: Mapping[int, StateDictLocation | None], *, is_alone: bool
) -> int:
    if isinstance(side, Operand):
        return 0
    return 1 if is_alone or named[id(side)] is not None else 1 + len(state_dict_in(side).entries)


def _file_operand(name: str, file: CheckpointReader, found: StateDictLocation | None, other: Operand | None) -> Operand:
    entry = None if other is None else other.entry
    if found is None and entry is not None and any(each.name == entry for each in state_dict_in(file).entries):
        found = state_dict_in(file, None, entry)
    if found is None:
        parts = {} if other is None else other.parts
        forms = {name: (each.shape, dtype_name(each.dtype)) for name, each in parts.items()}
        found = state_dict_in(file, None if other is None else lambda: forms)
    label = f"{name}[{inert(repr(found.key), _MOST_TEXT)}]" if found.alternatives else name
    tensors = dict(found.tensors)
    # How safetensors says that names are tied: by the one that holds the bytes.
    tensors |= {key: tensors[kept] for key, kept in file.metadata.items() if key not in tensors and kept in tensors}
    reader = ContentReader(file, distinct_storages(each for _, each in tensors_in(found.others)), as_arrays=True)
    values = {key: reader.whole(each) for key, each in found.others.items() if key.endswith(EXTRA_STATE)}
    wrapped = wrapped_in(found.others)
    values |= {key: ClassName(each.class_name) for key, each in wrapped.items()}
    tensors |= {f"{key}.{part}": tensor for key, each in wrapped.items() for part, tensor in each.parts}
    return Operand(label, {key: FileTensor(file, each) for key, each in tensors.items()}, values, file, found.key)


_MOST_TEXT = 80


def _state_of(module: Any, model: LiveModel) -> dict[str, Any]:
    """What a state dict of a module has: parameters and persistent buffers, under every name.

    Where modules have code of their own for it, that says what it has.
    """
    if own_code_in(model.scan):
        return {str(name): each for name, each in plain_items(state_of(module).content)}
    return _saved_tensors(model)


def _saved_tensors(model: LiveModel) -> dict[str, Any]:
    saved, live = saved_entries(tree_of(model.scan)), model.tensors
    return {name_in_state_dict(path): live[entry.path] for path, entry in saved.items() if entry.path in live}


def tensors_here(model: LiveModel) -> tuple[dict[str, LiveTensor], dict[str, str]]:
    """The tensors of a model that a state dict has, without any code of the model's own; and why some can't be read."""
    parts: dict[str, LiveTensor] = {}
    unread: dict[str, str] = {}
    for name, tensor in _saved_tensors(model).items():
        named = ((f"{name}.{part}", each) for part, each in wrapped_tensors(tensor))
        for path, each in named if is_wrapper(tensor) else ((name, tensor),):
            try:
                parts[path] = _live(each, path)
            except InvalidTargetError as error:
                unread[path] = error.message
    return parts, unread


def _live(tensor: Any, path: str) -> LiveTensor:
    with no_torch_function():
        is_ordinary = id(type(tensor)) in ORDINARY and torch_attribute(tensor, "numel")()
        held = None if is_ordinary else holder_of(tensor)
    part = None
    if held is not None and held.placements:
        with suppress(InvalidTargetError):  # of summands there is no part
            part = part_of(tensor, path)
    if held is not None and held.is_part and part is None:
        raise InvalidTargetError(
            f"{path} can't be compared: it is {held.how}, and this process has {shape_text(held.local_shape)} of "
            f"{shape_text(held.shape)}.",
            path=path,
            hint="Gather it first.",
        )
    reason = unreadable_reason(tensor)
    if reason is not None:
        raise InvalidTargetError(f"{path} can't be compared: {reason}.", path=path, hint=how_to_read(tensor))
    if part is None or part.is_whole:
        return LiveTensor(as_plain_tensor(tensor))
    return LiveTensor(as_plain_tensor(tensor), part, whose(tensor))


class LiveTensor:
    """A tensor in memory; see `OperandTensor`.

    Attributes:
        data: What is here of it, plain.
    """

    def __init__(self, data: torch.Tensor, part: Part | None = None, of: str = "all") -> None:
        self.data = data
        self.part, self.of = part, of
        self.shape = tuple(data.shape) if part is None else part.shape
        self.dtype = data.dtype
        self.quantizer = quantizer_of(data)
        self.is_cut = data.layout is torch.strided and self.quantizer is None
        self.is_run = self.is_cut and data.is_contiguous()

    @property
    def n_bytes(self) -> int:
        """Of its elements; of a sparse one, of those that it stores and where they are."""
        if self.data.layout is torch.strided:
            return self.data.numel() * self.data.element_size()
        indices = () if self.data.layout is not torch.sparse_coo else (self.data._indices(), self.data._values())  # noqa: SLF001 - the public ones want it coalesced
        return sum(each.numel() * each.element_size() for each in indices)

    def elements(self, start: int, stop: int, buffer: torch.Tensor) -> torch.Tensor:  # noqa: ARG002 - it lies in memory
        """As `OperandTensor` says."""
        return as_contiguous_cpu(self.data.view(-1)[start:stop])

    def rows(self, start: int, stop: int, buffer: torch.Tensor) -> torch.Tensor:  # noqa: ARG002 - it lies in memory
        """As `OperandTensor` says."""
        data = self.data[start:stop] if self.is_cut and self.shape else self.data
        return as_contiguous_cpu(data if self.quantizer is None else data.dequantize())

    def within(self, part: Part) -> LiveTensor:
        """As `OperandTensor` says."""
        if self.part is None:
            return LiveTensor(part.of(self.data))
        check_same_part(self.part, part)
        return LiveTensor(self.data)


class FileTensor:
    """A tensor of a file, read when it is asked for.

    Attributes:
        described: What the file has.
    """

    def __init__(self, held: CheckpointReader, described: Described, shape: tuple[int, ...] | None = None) -> None:
        self._held = held
        self.described = described
        self.shape = tuple(described.shape) if shape is None else shape
        self.dtype = described.dtype
        self.part: Part | None = None
        self.of = "all"
        self.is_run = isinstance(described, Strided) and described.is_run and described.quantizer is None
        is_as_described = bool(self.shape) and self.shape == tuple(described.shape)
        self.is_cut = self.is_run or (is_as_described and is_strided(described) and _lies_by_rows(described))
        self.quantizer: tuple[Any, ...] | None = None
        self._box_of: Part | None = None

    def converted(self, conversion: Conversion) -> FileTensor:
        """It, with its values as a model wants them."""
        return FileTensor(self._held, as_wanted(self.described, conversion), conversion.shape)

    def elements(self, start: int, stop: int, buffer: torch.Tensor) -> torch.Tensor:
        """As `OperandTensor` says."""
        described: Any = self.described
        n_bytes = (stop - start) * described.dtype.itemsize
        if n_bytes > buffer.numel():
            buffer = torch.empty(n_bytes, dtype=torch.uint8, device="cpu")
        made = buffer[:n_bytes].view(described.dtype)
        self._held.read_into(described.storage, (described.first + start) * described.dtype.itemsize, made)
        return made

    def rows(self, start: int, stop: int, buffer: torch.Tensor) -> torch.Tensor:
        """As `OperandTensor` says."""
        if not self.is_cut:
            made = self._held.tensor(self.described)
            self.quantizer = quantizer_of(made)
            made = made if self.quantizer is None else made.dequantize()
            if self._box_of is not None:
                made = self._box_of.of(made.reshape(self._box_of.shape))
            return as_contiguous_cpu(made if tuple(made.shape) == self.shape else made.reshape(self.shape))
        if not self.is_run:
            self.described = self._held.located(self.described)
            rows = cut(self.described, (range(start, stop), *map(range, self.shape[1:])))
            return as_contiguous_cpu(self._held.tensor(rows))
        shape = (stop - start, *self.shape[1:]) if self.shape else ()
        per_row = math.prod(self.shape[1:])
        return self.elements(start * per_row, stop * per_row, buffer).view(shape)

    def within(self, part: Part) -> FileTensor:
        """As `OperandTensor` says."""
        if is_strided(self.described) and tuple(self.described.shape) == part.shape:
            return FileTensor(self._held, located_within(self._held, self.described, part.box))
        made = FileTensor(self._held, self.described, part.local_shape)
        made.is_run = made.is_cut = False
        made._box_of = part
        return made


def _lies_by_rows(described: Described) -> bool:
    """Whether what a row of it has lies together in the file."""
    return all(part.strides[:1] == (max(part.strides, default=0),) for _, part in pieces_of(described))


def check_same_part(one: Part, other: Part) -> None:
    """Make sure that two sides have one part of a tensor.

    Raises:
        InvalidTargetError: They have different ones.
    """
    if one.box != other.box:
        raise InvalidTargetError(
            f"One side has {shape_text(one.local_shape)} of {shape_text(one.shape)} here, and the other another part.",
            hint="Compare each with a file: diff(net, path) reads of it what is here.",
        )
