"""The blocks that a model's memory is copied in: where each lies, where its copy lies, and their fingerprints.

Runs of memory on the CPU are moved by the C library, which for one gibibyte takes two thirds of the time that
``copy_`` does; all else, strided or on another device, by torch.
"""

from __future__ import annotations

import ctypes
import threading
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import accumulate, chain
from operator import add, le

import torch

from nnwidgets.edit.undo_copy.digest import CHUNK_BYTES, digest
from nnwidgets.edit.undo_copy.threads import CancelFlag
from nnwidgets.introspect.safe_access.scan import gc_paused
from nnwidgets.introspect.sharing import byte_ranges
from nnwidgets.introspect.statistics.blocks import Runs, blocks

_move = ctypes.memmove
_n_bytes = torch.Tensor.nbytes.__get__  # type: ignore[attr-defined] # a property of the base class


class Buffer:
    """Memory of our own for one block: some bytes of a larger room.

    Attributes:
        address: Where they lie.
        n_bytes: How many they are.
    """

    __slots__ = ("_offset", "_room", "address", "n_bytes")

    def __init__(self, room: torch.Tensor, offset: int = 0, n_bytes: int | None = None) -> None:
        self._room, self._offset = room, offset
        self.address = room.data_ptr() + offset
        self.n_bytes = room.numel() - offset if n_bytes is None else n_bytes

    @property
    def data(self) -> torch.Tensor:
        """Them, as a tensor."""
        return self._room[self._offset : self._offset + self.n_bytes]

    def fill(self, other: Buffer) -> None:
        """Copy what another one of the same length holds."""
        _move(self.address, other.address, self.n_bytes)

    def digest(self) -> bytes:
        """The fingerprint of what it holds."""
        return digest(self.address, self.n_bytes)


class Block:
    """A block of a model's memory, and the buffer beside it.

    Attributes:
        live: The block.
        slot: What is kept of it.
        n_bytes: Of either.
        is_run: Whether the block is one run of memory on the CPU.
    """

    __slots__ = ("is_run", "live", "n_bytes", "slot")

    def __init__(self, live: torch.Tensor, slot: Buffer) -> None:
        self.live = live
        self.slot = slot
        self.n_bytes = slot.n_bytes
        self.is_run = live.is_cpu and live.is_contiguous()

    def keep(self, slot: Buffer) -> None:
        """Copy the live bytes to a slot."""
        if self.is_run:
            _move(slot.address, self.live.data_ptr(), self.n_bytes)
        else:
            as_block(slot.data, self.live).copy_(self.live)

    def put(self, slot: Buffer) -> None:
        """Copy a slot's bytes to the live ones."""
        if self.is_run:
            _move(self.live.data_ptr(), slot.address, self.n_bytes)
        else:
            self.live.copy_(as_block(slot.data, self.live))

    def digest(self, spare: torch.Tensor) -> bytes:
        """The fingerprint of the live bytes; those that aren't a run on the CPU are copied to ``spare`` for it."""
        if self.is_run:
            return digest(self.live.data_ptr(), self.n_bytes)
        held = Buffer(spare, 0, self.n_bytes)
        self.keep(held)
        return held.digest()


class Blocks:
    """All blocks of an undo copy, in order.

    Attributes:
        all: The blocks.
        stored: The fingerprint of what each slot holds; empty where nothing was copied to it yet.
        left: The fingerprint of what was last left live; empty where it isn't known yet.
    """

    def __init__(self, live: Iterable[torch.Tensor], slots: Iterable[Buffer]) -> None:
        self.all = list(map(Block, live, slots))
        self.stored = [b""] * len(self.all)
        self.left = [b""] * len(self.all)
        self._taking = [threading.Lock() for _ in range(_N_LOCKS)]

    def take(self, run: Iterable[int], halt: CancelFlag) -> None:
        """Copy live bytes to their slots where that wasn't done."""
        for at in run:
            if halt.is_set:
                return
            self._take(at)

    def take_around(self, part: torch.Tensor) -> None:
        """Copy what a plain tensor meets, each block in whichever thread is the first to ask for it."""
        for at in self.meeting(part):
            if not self.stored[at]:
                with self._taking[at % _N_LOCKS]:
                    self._take(at)

    def _take(self, at: int) -> None:
        if not self.stored[at]:
            piece = self.all[at]
            piece.keep(piece.slot)
            self.stored[at] = piece.slot.digest()

    def look(self, run: Iterable[int], spare: torch.Tensor, halt: CancelFlag) -> None:
        """Note the fingerprints of live bytes where they aren't known."""
        for at in run:
            if halt.is_set:
                return
            if not self.left[at]:
                self.left[at] = self.all[at].digest(spare)

    def left_at(self, address: int, n_bytes: int) -> bytes:
        """The fingerprint of what was last left in a run of memory on the CPU, if that is one block; else nothing."""
        at = self._runs.get((address, n_bytes))
        return b"" if at is None else self.left[at]

    def meeting(self, tensor: torch.Tensor) -> list[int]:
        """The indices of the blocks whose range of addresses a plain tensor's meets."""
        addresses = self._by_address.get(tensor.device)
        if addresses is None or not tensor.numel():
            return []
        starts, reaches, ranges = addresses
        first, end = ends_of(tensor)
        at, found = bisect_left(starts, end), []
        while at and reaches[at - 1] > first:
            at -= 1
            if ranges[at][1] > first:
                found.append(ranges[at][2])
        return found

    @cached_property
    def _runs(self) -> dict[tuple[int, int], int]:
        """The index of each block that is one run of memory on the CPU, by address and length."""
        return {(block.live.data_ptr(), block.n_bytes): at for at, block in enumerate(self.all) if block.is_run}

    @cached_property
    @gc_paused()
    def _by_address(self) -> dict[torch.device, tuple[list[int], list[int], list[tuple[int, int, int]]]]:
        """By device: where each block starts, ascending; how far those up to it reach; start, end and index of each."""
        ranges: dict[torch.device, list[tuple[int, int, int]]] = {}
        for at, block in enumerate(self.all):
            ranges.setdefault(block.live.device, []).append((*ends_of(block.live), at))
        made = {}
        for device, held in ranges.items():
            held.sort()
            reaches = list(accumulate((end for _, end, _ in held), max))
            made[device] = [start for start, _, _ in held], reaches, held
        return made

    def with_copies(self) -> Iterator[Block]:
        """The blocks whose live bytes were copied."""
        return (piece for piece, stored in zip(self.all, self.stored, strict=True) if stored)


_N_LOCKS = 64


def as_block(slot: torch.Tensor, block: torch.Tensor) -> torch.Tensor:
    """A slot's bytes as elements of a block."""
    return slot.view(block.dtype).view(block.shape)


def blocks_of(tensors: Iterable[torch.Tensor]) -> list[torch.Tensor]:
    """Views that together hold every byte of ``tensors`` once, each at most `CHUNK_BYTES` long.

    Args:
        tensors: Plain strided tensors, as `as_plain_tensor` gives them, of any devices.

    Example:
        >>> import torch
        >>> flat = torch.zeros(10)
        >>> [block.nbytes for block in blocks_of([flat[:6], flat[4:], flat])]
        [24, 16]
    """
    by_device: dict[torch.device, list[torch.Tensor]] = {}
    for tensor in tensors:
        if tensor.numel():
            by_device.setdefault(tensor.device, []).append(tensor)
    return [block for held in by_device.values() for block in _on_one_device(held)]


def ends_of(tensor: torch.Tensor) -> tuple[int, int]:
    """Where a plain tensor that has elements begins and ends in memory."""
    if tensor.is_contiguous():
        return tensor.data_ptr(), tensor.data_ptr() + tensor.nbytes
    reach = 1 + sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True))
    return tensor.data_ptr(), tensor.data_ptr() + reach * tensor.element_size()


def piece_of(tensor: torch.Tensor, owner: int = 0) -> byte_ranges.ByteRanges | None:
    """The bytes of a plain strided tensor; None where it has none."""
    if tensor.is_contiguous():
        return byte_ranges.ByteRanges(tensor.data_ptr(), (), tensor.nbytes, owner) if tensor.numel() else None
    return byte_ranges.piece(tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.element_size(), owner)


def overlaps_itself(tensor: torch.Tensor) -> bool:
    """Whether two elements of a plain strided tensor are the same memory."""
    found = piece_of(tensor)
    return found is not None and byte_ranges.n_bytes(found) < tensor.numel() * tensor.element_size()


def raw_bytes(tensor: torch.Tensor, address: int, n_bytes: int) -> torch.Tensor:
    """A run of bytes of a tensor's storage as a ``uint8`` tensor."""
    storage = tensor.untyped_storage()
    bare = torch.empty(0, dtype=torch.uint8, device=storage.device)
    return bare.set_(storage, address - storage.data_ptr(), (n_bytes,), (1,))


def _on_one_device(tensors: list[torch.Tensor]) -> Iterator[torch.Tensor]:
    tensors.sort(key=torch.Tensor.data_ptr)
    ends = map(add, map(torch.Tensor.data_ptr, tensors), map(_n_bytes, tensors))
    if all(map(torch.Tensor.is_contiguous, tensors)) and all(map(le, ends, map(torch.Tensor.data_ptr, tensors[1:]))):
        # Runs of memory that lie apart, as nearly all do.
        return chain.from_iterable(map(_run_blocks, tensors))
    return _of_met(tensors)


def _of_met(tensors: Sequence[torch.Tensor]) -> Iterator[torch.Tensor]:
    """The blocks of tensors that may have bytes in common."""
    sites: dict[tuple[int, byte_ranges.Dims, int], torch.Tensor] = {}
    for tensor in tensors:
        found = piece_of(tensor)
        if found is not None:
            sites.setdefault(found[:3], tensor)
    pieces = [byte_ranges.ByteRanges(*site, index) for index, site in enumerate(sites)]
    owners = list(sites.values())
    for cluster in byte_ranges.clusters(pieces):
        shared = len(cluster) > 1 and any(len(having) > 1 for having in byte_ranges.coverage(cluster))
        if shared:
            yield from _hulls(cluster, owners)
            continue
        for each in cluster:
            tensor = owners[each.owner]
            if tensor.is_contiguous():
                yield from _run_blocks(tensor)
            elif not each.dims:
                yield from torch.split(raw_bytes(tensor, each.start, each.run), CHUNK_BYTES)
            elif overlaps_itself(tensor):
                yield from _hulls([each], owners)
            else:
                yield from blocks(tensor, Runs.of(tensor), CHUNK_BYTES // tensor.element_size())


def _run_blocks(tensor: torch.Tensor) -> Sequence[torch.Tensor]:
    if tensor.nbytes <= CHUNK_BYTES and tensor.is_cpu:
        return (tensor,)
    return torch.split(raw_bytes(tensor, tensor.data_ptr(), tensor.nbytes), CHUNK_BYTES)


def _hulls(cluster: list[byte_ranges.ByteRanges], owners: Sequence[torch.Tensor]) -> Iterator[torch.Tensor]:
    """The hulls of pieces, in order of address, what an earlier one covers left out."""
    covered = 0
    for each in sorted(cluster):
        start, stop = max(each.start, covered), byte_ranges.end(each)
        if stop > start:
            yield from torch.split(raw_bytes(owners[each.owner], start, stop - start), CHUNK_BYTES)
            covered = stop
