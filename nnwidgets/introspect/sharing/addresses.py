"""Where tensors lie in memory, read in bulk where they are ordinary and one by one where they are not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from operator import add
from typing import Any

import torch

from nnwidgets.introspect.safe_access.holders import wrapped_tensors
from nnwidgets.introspect.safe_access.objects import ORDINARY, refusing_dispatch
from nnwidgets.introspect.sharing.byte_ranges import ByteRanges, end, n_bytes, piece

_BASE: Any = torch._C.TensorBase  # noqa: SLF001 - its methods can't be overridden by a subclass or an instance
_data_ptr, _is_contiguous, _storage = _BASE.data_ptr, _BASE.is_contiguous, _BASE.untyped_storage
_layout: Any = _BASE.layout.__get__
_device: Any = _BASE.device.__get__
_dtype: Any = _BASE.dtype.__get__
_shape: Any = _BASE.shape.__get__

EMPTY = torch.empty(0)
"""A tensor without bytes, to stand where there is none to read."""

_LOWEST_ADDRESS = 1 << 40
"""Below it an address may be a mere offset into a freed storage: there, or in the heap of a Python that isn't PIE."""

_MOST_NESTING = 4
_COMPONENTS = {
    torch.sparse_coo: ("_indices", "_values"),
    torch.sparse_csr: ("crow_indices", "col_indices", "values"),
    torch.sparse_bsr: ("crow_indices", "col_indices", "values"),
    torch.sparse_csc: ("ccol_indices", "row_indices", "values"),
    torch.sparse_bsc: ("ccol_indices", "row_indices", "values"),
}


class AddressIntervals:
    """The bytes of some tensors, as intervals of addresses.

    Attributes:
        starts: First address of each interval. The first ones are those of the tensors, in order, 0 where there is
            nothing to compare (meta, empty, freed, opaque); further components of a tensor follow.
        ends: One past the last address of each.
        owners: For the intervals beyond the first one of each tensor: which tensor.
        pieces: For the intervals that have gaps: their bytes.
        odd: Tensors that aren't simply dense; for those without an address, how many bytes they would have.
        tensors: The tensors.
        n_tensors: How many.
    """

    __slots__ = ("ends", "n_tensors", "odd", "owners", "pieces", "starts", "tensors")

    def __init__(self, tensors: Sequence[Any], sizes: Sequence[int] | None = None, *, is_ordinary: bool) -> None:
        """Look at ``tensors``, inside `no_torch_function`.

        Args:
            tensors: Of any class.
            sizes: The bytes of the elements of each, where they are known already.
            is_ordinary: Whether all of them are known to be of an `ORDINARY` class.
        """
        self.tensors = tensors
        self.n_tensors = len(tensors)
        self.owners: list[int] = []
        self.pieces: dict[int, ByteRanges] = {}
        self.odd: dict[int, int] = {}
        starts = _addresses(tensors, is_ordinary=is_ordinary)
        closely = []
        ordinary: Sequence[Any] = tensors
        if min(starts, default=0) < _LOWEST_ADDRESS:
            closely = [
                index
                for index, start in enumerate(starts)
                if start < 0 or (0 < start < _LOWEST_ADDRESS and _is_freed(tensors[index]))
            ]
            if closely:
                ordinary = list(tensors)
                for index in closely:
                    ordinary[index] = EMPTY
                    starts[index] = 0
        self.starts = starts
        self.ends = list(map(add, starts, [tensor.nbytes for tensor in ordinary] if sizes is None else sizes))
        contiguous = list(map(_is_contiguous, ordinary))
        if False in contiguous:
            closely += [index for index, is_dense in enumerate(contiguous) if not is_dense]
        for index in closely:
            self._look_closely(index)

    def owner(self, interval: int) -> int:
        """Which tensor an interval belongs to."""
        return interval if interval < self.n_tensors else self.owners[interval - self.n_tensors]

    def piece(self, interval: int) -> ByteRanges:
        """The bytes of an interval."""
        start = self.starts[interval]
        known = self.pieces.get(interval)
        return known or ByteRanges(start, (), self.ends[interval] - start, self.owner(interval))

    def intervals(self, index: int) -> list[int]:
        """The intervals of a tensor."""
        further = [self.n_tensors + at for at, owner in enumerate(self.owners) if owner == index]
        return [index, *further] if self.starts[index] else further

    def n_bytes(self, index: int) -> int:
        """How many distinct bytes a tensor has, 0 where there is nothing to compare."""
        if not self.pieces and not self.owners:
            return int(self.ends[index]) - self.starts[index]
        return sum(n_bytes(self.piece(interval)) for interval in self.intervals(index))

    def n_bytes_to_be(self, index: int) -> int:
        """The bytes of a tensor; of one without an address, those that it will have."""
        return self.n_bytes(index) or int(self.ends[index]) - self.starts[index] or self.odd.get(index, 0)

    def device(self, index: int) -> Any:
        """The device of a tensor."""
        tensor = self.tensors[index]
        if id(type(tensor)) in ORDINARY:
            return tensor.device
        with refusing_dispatch(type(tensor)):
            return _device(tensor)

    def geometry(self, index: int) -> tuple[Any, ...]:
        """What two tensors with the same bytes differ in when one is a view of the other."""
        tensor = self.tensors[index]
        try:
            with nullcontext() if id(type(tensor)) in ORDINARY else refusing_dispatch(type(tensor)):
                strides = _BASE.stride(tensor) if _layout(tensor) is torch.strided else ()
                first = self.starts[index]
                return (first, tuple(_shape(tensor)), tuple(strides), _dtype(tensor))
        except (RuntimeError, ValueError, NotImplementedError, TypeError):
            return (id(tensor),)

    def _look_closely(self, index: int) -> None:
        self.starts[index] = self.ends[index] = self.odd[index] = 0
        interval = index
        for found in _pieces(self.tensors[index], index, _MOST_NESTING):
            if interval == index:
                self.starts[index], self.ends[index] = found.start, end(found)
            else:
                self.starts.append(found.start)
                self.ends.append(end(found))
                self.owners.append(index)
            if found.dims:
                self.pieces[interval] = found
            interval = len(self.starts)
        if interval == index:
            self.odd[index] = _would_have(self.tensors[index])


def _addresses(tensors: Sequence[Any], *, is_ordinary: bool) -> list[int]:
    """The address of each; -1 where the tensor isn't ordinary."""
    if is_ordinary:
        try:
            return list(map(_data_ptr, tensors))
        except RuntimeError:
            pass  # one of them is sparse; the loop below finds which
    made = []
    for tensor in tensors:
        address = -1
        if id(type(tensor)) in ORDINARY and _layout(tensor) is torch.strided:
            address = _data_ptr(tensor)
        made.append(address)
    return made


def _is_freed(tensor: Any) -> bool:
    try:
        return not _storage(tensor).data_ptr()
    except RuntimeError:
        return True


def _would_have(tensor: Any) -> int:
    """Distinct bytes that a tensor without an address would have by its strides; 0 where that can't be said."""
    try:
        with refusing_dispatch(type(tensor)):
            if _layout(tensor) is not torch.strided:
                return 0
            placed = piece(1, _BASE.size(tensor), _BASE.stride(tensor), _BASE.element_size(tensor), 0)
    except (RuntimeError, ValueError, NotImplementedError, TypeError):
        return 0
    return n_bytes(placed) if placed else 0


def _pieces(tensor: Any, owner: int, nesting: int) -> Iterator[ByteRanges]:
    try:
        with refusing_dispatch(type(tensor)):
            address = _data_ptr(tensor) if _layout(tensor) is torch.strided else 0
            if address:
                placed = piece(address, _BASE.size(tensor), _BASE.stride(tensor), _BASE.element_size(tensor), owner)
                held = _storage(tensor)
                if placed and end(placed) <= held.data_ptr() + held.nbytes():
                    yield placed
                return
        inner = _components(tensor) if nesting else []
    except (RuntimeError, ValueError, NotImplementedError, TypeError):
        inner = _wrapped_tensors(tensor) if nesting else []
    for each in inner:
        yield from _pieces(each, owner, nesting - 1)


def sparse_components(tensor: Any) -> list[Any] | None:
    """The index and value tensors of a sparse tensor; None for a tensor that isn't sparse."""
    names = _COMPONENTS.get(_layout(tensor))
    if names is None:
        return None
    with torch._C._DisableTorchDispatch():  # noqa: SLF001 - a user's mode must not see these
        return [getattr(_BASE, name)(tensor) for name in names]


def _components(tensor: Any) -> list[Any]:
    """The tensors that a sparse tensor or a wrapping subclass is made of."""
    parts = sparse_components(tensor)
    return _wrapped_tensors(tensor) if parts is None else parts


def _wrapped_tensors(tensor: Any) -> list[Any]:
    return [value for _, value in wrapped_tensors(tensor)]
