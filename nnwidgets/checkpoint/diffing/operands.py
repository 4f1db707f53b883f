"""Either side of a comparison: a file, a live model, a dict of tensors; read part by part."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any, Protocol

import torch

from nnwidgets.checkpoint.bytes_equal import as_contiguous_cpu
from nnwidgets.checkpoint.description import Described, Strided
from nnwidgets.checkpoint.formats import CheckpointReader, open_checkpoint
from nnwidgets.checkpoint.loading.layouts.conversions import as_wanted
from nnwidgets.checkpoint.loading.plan import state_dict_in
from nnwidgets.checkpoint.records import Conversion
from nnwidgets.checkpoint.state_dict import saved_entries
from nnwidgets.errors import InvalidTargetError
from nnwidgets.introspect import LiveModel
from nnwidgets.introspect.module_tree.tree import tree_of
from nnwidgets.introspect.safe_access.objects import is_a, is_module, is_tensor, type_name
from nnwidgets.introspect.safe_access.tensors import as_plain_tensor, unreadable_reason


class OperandTensor(Protocol):
    """One tensor of a side.

    Attributes:
        shape: Its sizes.
        dtype: Of its elements.
        is_cut: Whether rows of it can be had without the rest.
        is_run: Whether any elements of it can: they lie one after the other.
    """

    shape: tuple[int, ...]
    dtype: torch.dtype
    is_cut: bool
    is_run: bool

    def elements(self, start: int, stop: int, buffer: torch.Tensor) -> torch.Tensor:
        """Elements of a run, in one dimension, on the CPU; in ``buffer``, where it holds them, if they are read."""

    def rows(self, start: int, stop: int, buffer: torch.Tensor) -> torch.Tensor:
        """Rows of it on the CPU, contiguous; in ``buffer`` where they have to be copied. All of it if it isn't cut."""


class Operand:
    """Tensors by name.

    Attributes:
        label: What the side is called.
        parts: The tensors.
    """

    def __init__(self, label: str, parts: Mapping[str, OperandTensor], held: CheckpointReader | None = None) -> None:
        self.label = label
        self.parts = parts
        self._held = held

    def close(self) -> None:
        """Close its file, where it is one."""
        if self._held is not None:
            self._held.close()


def operand_of(value: Any) -> Operand:
    """Make a side of a path, a module, or a dict of tensors.

    Raises:
        InvalidTargetError: It is something else, or a tensor of it has no data.
        PathNotFoundError: There is no such file.
        CheckpointMismatchError: The file holds no state dict.
    """
    if isinstance(value, str | os.PathLike):
        held = open_checkpoint(value)
        try:
            found = state_dict_in(held)
        except BaseException:
            held.close()
            raise
        name = PurePath(os.fsdecode(os.fspath(value))).name
        return Operand(name, {key: FileTensor(held, each) for key, each in found.tensors.items()}, held)
    if is_module(value):
        return Operand(
            type_name(type(value)), {path: _live(tensor, path) for path, tensor in _state_tensors(value).items()}
        )
    if is_a(value, dict) and all(is_tensor(each) for each in dict.values(value)):
        return Operand("a dict", {str(key): _live(each, str(key)) for key, each in dict.items(value)})
    raise InvalidTargetError(
        f"A {type_name(type(value))} can't be compared, expected a path, a module, or a dict of tensors.",
        hint='Such as diff("before.pt", net).',
    )


def _state_tensors(module: Any) -> dict[str, Any]:
    """What a state dict of a module has: parameters and persistent buffers, under every name."""
    model = LiveModel(module)
    saved, live = saved_entries(tree_of(model.scan)), model.tensors
    return {path: live[entry.path] for path, entry in saved.items() if entry.path in live}


def _live(tensor: Any, path: str) -> _LiveTensor:
    reason = unreadable_reason(tensor)
    if reason is not None:
        raise InvalidTargetError(f"{path} can't be compared: {reason}.", path=path, hint="Give it data first.")
    return _LiveTensor(as_plain_tensor(tensor))


class _LiveTensor:
    def __init__(self, data: torch.Tensor) -> None:
        self.data = data
        self.shape = tuple(data.shape)
        self.dtype = data.dtype
        self.is_cut = data.layout is torch.strided and not data.is_quantized
        self.is_run = self.is_cut and data.is_contiguous()

    def elements(self, start: int, stop: int, buffer: torch.Tensor) -> torch.Tensor:  # noqa: ARG002 - it lies in memory
        return as_contiguous_cpu(self.data.view(-1)[start:stop])

    def rows(self, start: int, stop: int, buffer: torch.Tensor) -> torch.Tensor:  # noqa: ARG002 - it lies in memory
        data = self.data[start:stop] if self.is_cut and self.shape else self.data
        return as_contiguous_cpu(data)


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
        self.is_cut = isinstance(described, Strided) and described.is_run and described.quantizer is None
        self.is_run = self.is_cut

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
            return as_contiguous_cpu(made if tuple(made.shape) == self.shape else made.reshape(self.shape))
        shape = (stop - start, *self.shape[1:]) if self.shape else ()
        per_row = math.prod(self.shape[1:])
        return self.elements(start * per_row, stop * per_row, buffer).view(shape)
