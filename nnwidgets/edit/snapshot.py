"""The undo copy: old bytes beside live ones, exchanged to undo and exchanged again to redo.

One buffer serves both directions, so redo costs no memory. Pieces are exchanged one by one while they are in the
cache; before each step it is noted which, so that whatever interrupts, all can be taken back.
"""

from __future__ import annotations

import contextlib
import mmap
from collections.abc import Callable, Iterable

import torch

from nnwidgets.edit.digest import CHUNK_BYTES, digest, digest_words
from nnwidgets.edit.regions import blocks_of
from nnwidgets.introspect.readable import reading

_ALIGNMENT = 64
_TRIES = 1_000


class Snapshot:
    """The bytes of some tensors as they were.

    Attributes:
        size_bytes: Of the copy.
        is_turned: Whether an odd number of exchanges was made.
    """

    def __init__(self, tensors: Iterable[torch.Tensor]) -> None:
        """Copy the bytes of plain strided ``tensors``; RuntimeError or MemoryError where there is no room."""
        with reading():
            self._live = blocks_of(tensors)
            sizes = [block.numel() * block.element_size() for block in self._live]
            self.size_bytes = sum(sizes)
            spaced = [-(-size // _ALIGNMENT) * _ALIGNMENT for size in sizes]
            buffer = _room(sum(spaced) + min(CHUNK_BYTES, max(spaced, default=0)))
            self._slots: list[torch.Tensor] = []
            at = 0
            for size, space in zip(sizes, spaced, strict=True):
                self._slots.append(buffer[at : at + size])
                at += space
            self._spare = buffer[at:]
            self._stored: list[bytes] = []
            self._left: list[bytes] = []
            for block, slot in zip(self._live, self._slots, strict=True):
                _as(slot, block).copy_(block)
                self._stored.append(digest(slot))
        self._step = (0, 0, 0)
        self.is_turned = False

    def seal(self) -> None:
        """Note what the live bytes are now: what undoing expects to find."""
        with reading():
            self._left = [self._digest(block) for block in self._live]

    def restore(self) -> None:
        """Put the old bytes back, in part written or not; may be called again where it was interrupted."""
        with reading():
            for block, slot in zip(self._live, self._slots, strict=True):
                block.copy_(_as(slot, block))

    def is_as_left(self, within: torch.Tensor | None = None) -> bool:
        """Whether the live bytes, or those around one plain tensor, are the ones last left there."""
        with reading():
            pairs = zip(self._live, self._left, strict=True)
            return all(self._digest(block) == left for block, left in pairs if _meets(block, within))

    def is_different(self, within: torch.Tensor) -> bool:
        """Whether the bytes around one plain tensor became different from the kept ones."""
        pairs = zip(self._live, self._stored, self._left, strict=True)
        return any(stored != left for block, stored, left in pairs if _meets(block, within))

    def exchange(self, *, check: bool) -> bool:
        """Exchange live and kept bytes, all or none.

        Args:
            check: Stop, leaving all as it was, where live bytes aren't the ones last left there.

        Returns:
            Whether they were exchanged.
        """
        before = self._stored, self._left, self.is_turned
        self._step = (0, 0, 0)
        try:
            with reading():
                is_whole = self._forward(check=check)
                if is_whole:
                    kept = self._left if check else [digest(slot) for slot in self._slots]
                    self._stored, self._left, self.is_turned = kept, self._stored, not self.is_turned
        except BaseException:
            insist(self._back)
            self._stored, self._left, self.is_turned = before
            raise
        if not is_whole:
            insist(self._back)
        return is_whole

    def old(self, tensor: torch.Tensor) -> torch.Tensor | None:
        """What is kept of a plain strided ``tensor``, as a tensor of its own; None where not all of it is."""
        with reading():
            twin = twin_of(tensor.cpu() if tensor.device.type != "cpu" else tensor)
            if not tensor.numel():
                return twin
            copied = 0
            base, place = tensor.untyped_storage().data_ptr(), twin.untyped_storage()
            first = tensor.data_ptr() - base
            for block, slot in zip(self._live, self._slots, strict=True):
                if block.untyped_storage().data_ptr() != base:
                    continue
                offset = block.data_ptr() - base - first
                if block.is_contiguous():
                    low, high = max(offset, 0), min(offset + slot.numel(), place.nbytes())
                    if low < high:
                        whole = torch.empty(0, dtype=torch.uint8).set_(place)
                        whole[low:high] = slot[low - offset : high - offset]
                        copied += high - low
                elif block.dtype is tensor.dtype and 0 <= offset < place.nbytes():
                    target = torch.empty(0, dtype=block.dtype).set_(
                        place, offset // block.element_size(), tuple(block.shape), block.stride()
                    )
                    target.copy_(_as(slot, block))
                    copied += slot.numel()
            return twin if copied >= tensor.numel() * tensor.element_size() else None

    def _digest(self, block: torch.Tensor) -> bytes:
        n_bytes = block.numel() * block.element_size()
        if block.dtype is torch.int64 and block.device.type == "cpu" and block.is_contiguous():
            words = block.view(-1)
            return digest_words(words) if n_bytes == CHUNK_BYTES else digest(words.view(torch.uint8))
        held = self._spare[:n_bytes]
        _as(held, block).copy_(block)
        return digest(held)

    def _forward(self, *, check: bool) -> bool:
        return all(self._exchange_piece(index, index + 1, check=check) for index in range(len(self._live)))

    def _exchange_piece(self, at: int, after: int, *, check: bool = False) -> bool:
        """Exchange one piece; ``_step`` says how many are exchanged, which one is worked on, and how far it is."""
        done = self._step[0]
        block, slot = self._live[at], self._slots[at]
        held = self._spare[: slot.numel()]
        _as(held, block).copy_(block)
        if check and digest(held) != self._left[at]:
            return False
        self._step = (done, at, 1)
        block.copy_(_as(slot, block))
        if slot.numel() == CHUNK_BYTES:
            # What was live stays in the spare piece, and the kept one becomes the spare: no third copy.
            self._slots[at], self._spare, self._step = held, slot, (after, at, 0)
        else:
            self._step = (done, at, 2)
            slot.copy_(held)
            self._step = (after, at, 0)
        return True

    def _back(self) -> None:
        """Take back what was exchanged; may be called again where it was interrupted."""
        with reading():
            self._back_piece_by_piece()

    def _back_piece_by_piece(self) -> None:
        done, at, phase = self._step
        if phase:
            block, slot = self._live[at], self._slots[at]
            held = self._spare[: slot.numel()]
            if phase == 2:  # noqa: PLR2004 - what was kept is whole in the model, the slot is in part written over
                _as(slot, block).copy_(block)
                self._step = (done, at, 1)
            block.copy_(_as(held, block))
            self._step = (done, at, 0)
        while self._step[0]:
            last = self._step[0] - 1
            self._exchange_piece(last, last)


def insist(call: Callable[[], None]) -> None:
    """Call what may be called again until it has run through, whatever interrupts it; only then let that be known."""
    interrupted: BaseException | None = None
    for _ in range(_TRIES):
        try:
            call()
        except BaseException as error:  # noqa: BLE001 - also an interrupt must not leave a half-written model
            interrupted = error
        else:
            return
    if interrupted is not None:
        raise interrupted


def twin_of(tensor: torch.Tensor) -> torch.Tensor:
    """An uninitialized tensor of its own that lies in memory as a plain strided ``tensor`` does.

    Same sizes, strides, dtype and device: fillers draw other numbers for a tensor that lies otherwise.
    """
    reach = 1 + sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True))
    flat = torch.empty(reach if tensor.numel() else 0, dtype=tensor.dtype, device=tensor.device)
    return flat.as_strided(tensor.shape, tensor.stride())


def _room(n_bytes: int) -> torch.Tensor:
    """Memory of its own, in large pages where the system has them: most of a copy's time goes into small ones."""
    if n_bytes < _LARGE_BYTES:
        return torch.empty(n_bytes, dtype=torch.uint8, device="cpu")
    held = mmap.mmap(-1, n_bytes)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with contextlib.suppress(OSError):
            held.madvise(mmap.MADV_HUGEPAGE)
    return torch.frombuffer(held, dtype=torch.uint8)


_LARGE_BYTES = 8 * 2**20


def _as(slot: torch.Tensor, block: torch.Tensor) -> torch.Tensor:
    return slot.view(block.dtype).view(block.shape)


def _meets(block: torch.Tensor, tensor: torch.Tensor | None) -> bool:
    if tensor is None:
        return True
    if not tensor.numel() or block.device != tensor.device:
        return False
    starts, ends = zip(_range(block), _range(tensor), strict=True)
    return max(starts) < min(ends)


def _range(tensor: torch.Tensor) -> tuple[int, int]:
    reach = 1 + sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True))
    return tensor.data_ptr(), tensor.data_ptr() + reach * tensor.element_size()
