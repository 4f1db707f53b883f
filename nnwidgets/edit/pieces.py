"""The pieces that a model's memory is copied in: where each lies, where its copy lies, and their fingerprints.

Runs of memory on the CPU are moved by the C library, which for one gibibyte takes two thirds of the time that
``copy_`` does; all else, strided or on another device, by torch.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Iterator

import torch

from nnwidgets.edit.aside import Halt
from nnwidgets.edit.digest import digest

_move = ctypes.memmove


class Slot:
    """Memory of our own for one piece.

    Attributes:
        data: Its bytes.
        address: Where they lie.
    """

    __slots__ = ("address", "data")

    def __init__(self, data: torch.Tensor) -> None:
        self.data = data
        self.address = data.data_ptr()

    def digest(self) -> bytes:
        """The fingerprint of what it holds."""
        return digest(self.address, self.data.numel())


class Piece:
    """A block of a model's memory, and the slot beside it.

    Attributes:
        live: The block.
        slot: What is kept of it.
        n_bytes: Of either.
        is_run: Whether the block is one run of memory on the CPU.
    """

    __slots__ = ("is_run", "live", "n_bytes", "slot")

    def __init__(self, live: torch.Tensor, slot: Slot) -> None:
        self.live = live
        self.slot = slot
        self.n_bytes = slot.data.numel()
        self.is_run = live.device.type == "cpu" and live.is_contiguous()

    def keep(self, slot: Slot) -> None:
        """Copy the live bytes to a slot."""
        if self.is_run:
            _move(slot.address, self.live.data_ptr(), self.n_bytes)
        else:
            as_block(slot.data, self.live).copy_(self.live)

    def put(self, slot: Slot) -> None:
        """Copy a slot's bytes to the live ones."""
        if self.is_run:
            _move(self.live.data_ptr(), slot.address, self.n_bytes)
        else:
            self.live.copy_(as_block(slot.data, self.live))

    def digest(self, spare: torch.Tensor) -> bytes:
        """The fingerprint of the live bytes; those that aren't a run on the CPU are copied to ``spare`` for it."""
        if self.is_run:
            return digest(self.live.data_ptr(), self.n_bytes)
        held = Slot(spare[: self.n_bytes])
        self.keep(held)
        return held.digest()


class Pieces:
    """All pieces of a snapshot, in order.

    Attributes:
        all: The pieces.
        stored: The fingerprint of what each slot holds; empty where nothing was copied to it yet.
        left: The fingerprint of what was last left live; empty where it isn't known yet.
    """

    def __init__(self, live: Iterable[torch.Tensor], slots: Iterable[torch.Tensor]) -> None:
        self.all = [Piece(block, Slot(slot)) for block, slot in zip(live, slots, strict=True)]
        self.stored = [b""] * len(self.all)
        self.left = [b""] * len(self.all)

    def take(self, run: Iterable[int], halt: Halt) -> None:
        """Copy live bytes to their slots where that wasn't done."""
        for at in run:
            if halt.is_set:
                return
            if self.stored[at]:
                continue
            piece = self.all[at]
            piece.keep(piece.slot)
            self.stored[at] = piece.slot.digest()

    def look(self, run: Iterable[int], spare: torch.Tensor, halt: Halt) -> None:
        """Note the fingerprints of live bytes where they aren't known."""
        for at in run:
            if halt.is_set:
                return
            if not self.left[at]:
                self.left[at] = self.all[at].digest(spare)

    def taken(self) -> Iterator[Piece]:
        """The pieces whose live bytes were copied."""
        return (piece for piece, stored in zip(self.all, self.stored, strict=True) if stored)


def as_block(slot: torch.Tensor, block: torch.Tensor) -> torch.Tensor:
    """A slot's bytes as elements of a block."""
    return slot.view(block.dtype).view(block.shape)
