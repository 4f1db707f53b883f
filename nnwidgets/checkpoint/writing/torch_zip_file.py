"""Writing a torch zip: what ``torch.save`` writes of plain tensors and containers, read by it with ``weights_only``.

Each run of bytes that tensors share is a storage of its own, so ties come back as ties, and a slice of something huge
is written as the slice. Everything is placed on the CPU: a file from one machine opens on every other.

``torch.save`` isn't used: by its writer's source it sums a storage's memory and then writes that memory, both live.
Where a training cell changes the tensor between, the file gets a checksum that its own load refuses. Here each piece is
copied once, and both are done with the copy (`hashing_stream`).
Source: torch/serialization.py (``_save``) and torch/_utils.py (the rebuild functions).
"""

from __future__ import annotations

import io
import pickle
import sys
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from nnwidgets.checkpoint.formats.crc32 import crc32
from nnwidgets.checkpoint.writing.hashing_stream import HashingWriter
from nnwidgets.checkpoint.writing.shared_bytes import SharingGroup, sharing_groups
from nnwidgets.checkpoint.writing.tensors_to_save import Contents, TensorToSave
from nnwidgets.checkpoint.writing.wrapped_tensors import ObjectToSave, WrappedToSave
from nnwidgets.checkpoint.writing.zip_archive import ALIGNMENT, Zip, overhead
from nnwidgets.errors import SaveError

_STORAGES = {
    torch.float64: "DoubleStorage", torch.float32: "FloatStorage", torch.float16: "HalfStorage",
    torch.bfloat16: "BFloat16Storage", torch.int64: "LongStorage", torch.int32: "IntStorage",
    torch.int16: "ShortStorage", torch.int8: "CharStorage", torch.uint8: "ByteStorage", torch.bool: "BoolStorage",
    torch.complex128: "ComplexDoubleStorage", torch.complex64: "ComplexFloatStorage", torch.qint8: "QInt8Storage",
    torch.qint32: "QInt32Storage", torch.quint8: "QUInt8Storage",
}  # fmt: skip
"""Storage classes by dtype; dtypes that came later are rebuilt over untyped storages."""

_PER_TENSOR = {torch.per_tensor_affine, torch.per_tensor_symmetric}
_MOST_ALIGNED = 16


@dataclass(frozen=True, slots=True)
class _Storage:
    """A run of bytes in the file: stands for a torch storage while pickling."""

    key: str
    kind: Any
    n_elements: int


@dataclass(frozen=True, slots=True)
class _View:
    """Where a tensor lies in its storage, in elements."""

    storage: _Storage
    first: int
    strides: tuple[int, ...]


@dataclass(slots=True)
class Layout:
    """A file before it is written.

    Attributes:
        data: The pickle.
        storages: What to write into each storage, in order.
        n_bytes: Of the file, a little more than it will be.
    """

    data: bytes = b""
    storages: list[torch.Tensor] = field(default_factory=list)
    n_bytes: int = 0


def layout(contents: Contents, warnings: list[str]) -> Layout:
    """Lay out something to be saved in a file; ``warnings`` is added to.

    Raises:
        SaveError: It is nested too deeply.
    """
    made = Layout()
    to_save = [each for _, tensor in contents.named for each in tensor.strided()]
    views = _views_of_all(to_save, made, warnings)
    stream = io.BytesIO()
    try:
        _Pickler(stream, views).dump(contents.tree)
    except RecursionError:
        raise SaveError(
            "It is nested too deeply to be saved.", hint="Save a flat dict of tensors instead. Nothing was changed."
        ) from None
    made.data = stream.getvalue()
    made.n_bytes = len(made.data) + overhead("data.pkl", len(made.data)) + 6 * overhead("x" * 64, 8)
    for key, each in enumerate(made.storages):
        n_bytes = each.numel() * each.element_size()
        made.n_bytes += n_bytes + overhead(f"archive/data/{key}", n_bytes)
    return made


def write(out: HashingWriter, made: Layout) -> None:
    """Write a file that was laid out.

    Raises:
        OSError: It can't be written.
    """
    archive = Zip(out)
    archive.add_bytes("data.pkl", made.data)
    archive.add_bytes(".format_version", b"1")
    archive.add_bytes(".storage_alignment", str(ALIGNMENT).encode())
    archive.add_bytes("byteorder", sys.byteorder.encode())
    for key, each in enumerate(made.storages):
        archive.add(f"data/{key}", each.numel() * each.element_size(), lambda each=each: out.write_tensor(each, crc32))  # type: ignore[misc] # the default is the value of this turn
    archive.add_bytes("version", b"3\n")
    archive.finish()


class _Pickler(pickle.Pickler):
    """Writes tensors to save as torch's pickles have tensors."""

    def __init__(self, stream: io.BytesIO, views: dict[int, _View]) -> None:
        super().__init__(stream, protocol=2)
        self._views = views

    def persistent_id(self, obj: Any) -> Any:
        if type(obj) is _Storage:
            return ("storage", obj.kind, obj.key, "cpu", obj.n_elements)
        return None

    def reducer_override(self, obj: Any) -> Any:
        if type(obj) in (WrappedToSave, ObjectToSave):
            return obj.reduced()
        if type(obj) is not TensorToSave:
            return NotImplemented
        if obj.is_parameter:
            # The data is a tensor of its own in the pickle, as torch writes it.
            bare = TensorToSave(obj.name, obj.data, obj.live, parts=obj.parts, is_coalesced=obj.is_coalesced)
            self._kept = bare
            return torch._utils._rebuild_parameter, (bare, obj.requires_grad, OrderedDict())  # noqa: SLF001 - the name in the file
        return self._tensor(obj)

    def _tensor(self, tensor: TensorToSave) -> Any:
        rebuild, data = torch._utils, tensor.data  # noqa: SLF001 - the names in the file
        shape = tuple(data.shape)
        if data.layout is torch.sparse_coo:
            indices, values = tensor.parts
            held: tuple[Any, ...] = (indices, values, data.size(), tensor.is_coalesced)
            return rebuild._rebuild_sparse_tensor, (data.layout, held)  # noqa: SLF001
        if not tensor.is_strided:
            return rebuild._rebuild_sparse_tensor, (data.layout, (*tensor.parts, data.size()))  # noqa: SLF001
        view = self._views[id(data)]
        place = (view.storage, view.first, shape, view.strides)
        if data.is_quantized:
            return rebuild._rebuild_qtensor, (*place, _quantizer(tensor), tensor.requires_grad, OrderedDict())  # noqa: SLF001
        if view.storage.kind is torch.UntypedStorage:
            return rebuild._rebuild_tensor_v3, (*place, tensor.requires_grad, OrderedDict(), data.dtype)  # noqa: SLF001
        return rebuild._rebuild_tensor_v2, (*place, tensor.requires_grad, OrderedDict())  # noqa: SLF001


def _quantizer(tensor: TensorToSave) -> tuple[Any, ...]:
    data = tensor.data
    if data.qscheme() in _PER_TENSOR:
        return torch.per_tensor_affine, data.q_scale(), data.q_zero_point()
    scales, zero_points = tensor.parts
    return torch.per_channel_affine, scales, zero_points, data.q_per_channel_axis()


def _views_of_all(to_save: Sequence[TensorToSave], made: Layout, warnings: list[str]) -> dict[int, _View]:
    """Give each tensor's data its place in a storage, by the data's id."""
    named = {id(tensor.data): tensor for tensor in reversed(to_save)}
    # In their order; the same data under several names counts once.
    distinct = list(dict.fromkeys(id(tensor.data) for tensor in to_save))
    tensors = [named[each].data for each in distinct]
    together: dict[int, SharingGroup] = {}
    for group in sharing_groups(tensors):
        if group.is_same or _region([tensors[index] for index in group.members]) is not None:
            together.update(dict.fromkeys(group.members, group))
        else:
            names = ", ".join(named[distinct[index]].name for index in group.members)
            warnings.append(f"{names} share bytes in a way that the file can't hold; each is saved whole.")
    views: dict[int, _View] = {}
    for index, data in enumerate(tensors):
        if id(data) not in views:
            found = together.get(index)
            members = (index,) if found is None else found.members
            views.update(_views([tensors[each] for each in members], made, is_same=found is None or found.is_same))
    return views


def _views(tensors: Sequence[torch.Tensor], made: Layout, *, is_same: bool) -> dict[int, _View]:
    """One storage for tensors that share bytes, or for a single one."""
    key = str(len(made.storages))
    region = None if is_same else _region(tensors)
    if region is None:
        strides, source = _compact(tensors[0])
        made.storages.append(source)
        storage = _storage(key, {tensors[0].dtype}, source.numel() * source.element_size())
        return {id(each): _View(storage, 0, strides) for each in tensors}
    begin, source = region
    made.storages.append(source)
    storage = _storage(key, {each.dtype for each in tensors}, source.numel())
    return {
        id(each): _View(storage, (each.data_ptr() - begin) // each.element_size(), each.stride()) for each in tensors
    }


def _storage(key: str, dtypes: set[torch.dtype], n_bytes: int) -> _Storage:
    only = next(iter(dtypes)) if len(dtypes) == 1 else None
    if only in _STORAGES:
        return _Storage(key, getattr(torch, _STORAGES[only]), n_bytes // only.itemsize)
    return _Storage(key, torch.UntypedStorage, n_bytes)


def _compact(data: torch.Tensor) -> tuple[tuple[int, ...], torch.Tensor]:
    """Strides in the file, and what to write: the tensor's own run of memory if that has no holes, else its elements.

    So a transposed matrix stays one, and one column of a matrix doesn't take the whole of it along.
    """
    reach = _span(data)
    if not data.numel() or data.is_conj() or data.is_neg() or reach > data.numel():
        return torch.empty(tuple(data.shape), device="meta").stride(), data
    width = data.element_size()
    return data.stride(), _bytes_of(data.untyped_storage(), int(data.storage_offset()) * width, reach * width)


def _region(tensors: Sequence[torch.Tensor]) -> tuple[int, torch.Tensor] | None:
    """Where the memory that tensors share begins, and all of it; None where a file can't say how they share it."""
    widths = [each.element_size() for each in tensors]
    begin = min(each.data_ptr() for each in tensors)
    end = max(each.data_ptr() + _span(each) * width for each, width in zip(tensors, widths, strict=True))
    is_mixed = len({each.dtype for each in tensors}) > 1
    if any(each.is_conj() or each.is_neg() or (is_mixed and each.is_quantized) for each in tensors):
        return None
    for each in tensors:
        storage = each.untyped_storage()
        base = storage.data_ptr()
        if base <= begin and end <= base + storage.nbytes():
            begin = max(base, begin - begin % _MOST_ALIGNED) if is_mixed else begin
            if any((each.data_ptr() - begin) % width for each, width in zip(tensors, widths, strict=True)):
                return None
            return begin, _bytes_of(storage, begin - base, end - begin)
    return None


def _bytes_of(storage: torch.UntypedStorage, offset: int, n_bytes: int) -> torch.Tensor:
    return torch.empty(0, dtype=torch.uint8, device=storage.device).set_(storage, offset, (n_bytes,), (1,))


def _span(data: torch.Tensor) -> int:
    """Elements from the first to the last, both included."""
    if not data.numel():
        return 0
    return 1 + sum((size - 1) * stride for size, stride in zip(data.shape, data.stride(), strict=True))
