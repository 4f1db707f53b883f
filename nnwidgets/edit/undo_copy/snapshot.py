"""The undo copy: old bytes beside live ones, exchanged to undo and exchanged again to redo.

One buffer serves both directions, so redo costs no memory. Pieces are exchanged one by one while they are in the
cache, each fingerprinted on the way, by as many threads as there are lanes.

Undoing costs more than a plain copy, by what it moves: a copy of n bytes reads 2 n (what it overwrites is fetched too)
and writes n; an exchange reads 2 n and writes 2 n, and each piece is fingerprinted on top. To copy the old bytes back
and let go of the new ones would be faster, but then nothing could be redone, nor put back where an edit by other code
shows up half-way.
"""

from __future__ import annotations

import contextlib
import mmap
from collections.abc import Sequence
from functools import partial

import torch

from nnwidgets.edit.ahead import Ahead
from nnwidgets.edit.undo_copy.digest import CHUNK_BYTES
from nnwidgets.edit.undo_copy.memory_blocks import Blocks, Buffer, as_block, blocks_of, turns_of
from nnwidgets.edit.undo_copy.threads import CancelFlag, ThreadGroup, retry_until_complete
from nnwidgets.introspect.safe_access.tensors import plain_torch

_ALIGNMENT = 64
_LARGE_BYTES = 8 * 2**20
_MOST_LANES = 4


class Snapshot:
    """The bytes of some tensors as they were.

    Attributes:
        size_bytes: Of the copy.
        is_turned: Whether an odd number of exchanges was made.
    """

    def __init__(self, tensors: Sequence[torch.Tensor], *, in_turn: bool = False, in_parts: bool = False) -> None:
        """Make room for the bytes of plain strided tensors; `take` copies them.

        Args:
            tensors: The tensors.
            in_turn: They will be written in order, each after `reach` was called for it, so that copying may go on
                until then.
            in_parts: They will be written part by part, each after `keep` was called with it, which copies it then.

        Raises:
            RuntimeError: There is no room; MemoryError and OSError mean the same.
        """
        with plain_torch():
            live = blocks_of(tensors)
            self.size_bytes = sum(block.numel() * block.element_size() for block in live)
            self._turns = turns_of(live, tensors) if in_turn and self.size_bytes >= _LARGE_BYTES else None
            sizes = [block.numel() * block.element_size() for block in live]
            spaced = [-(-size // _ALIGNMENT) * _ALIGNMENT for size in sizes]
            n_lanes = min(_MOST_LANES, torch.get_num_threads()) if self.size_bytes >= _LARGE_BYTES else 1
            n_spare = min(CHUNK_BYTES, max(spaced, default=0))
            *slots, spares = torch.split(_room(sum(spaced) + n_lanes * n_spare), [*spaced, n_lanes * n_spare])
            self._pieces = Blocks(live, (slot[:size] for slot, size in zip(slots, sizes, strict=True)))
            runs = _parts(range(len(live)), n_lanes)
            rooms = torch.split(spares, n_spare) if n_spare else (spares,)
            self._lanes = [BlockSwapper(self._pieces, run, room) for run, room in zip(runs, rooms, strict=True)]
        self._crew = ThreadGroup()
        self._ahead: Ahead | None = None
        self._in_parts = in_parts
        self._is_taken = False
        self.is_turned = False

    def take(self) -> None:
        """Copy the live bytes: all of them, or those that can't be copied while others are written."""
        everything = range(len(self._pieces.all))
        if self._in_parts:
            self._pieces.take((at for at in everything if not self._pieces.all[at].is_run), CancelFlag())
        elif self._turns is None:
            self._copy(everything)
        else:
            self._copy(self._turns[0])
            self._ahead = Ahead(self._pieces, self._turns, self._lanes[0].spare)
            try:
                self._ahead.start()
            except RuntimeError:
                self._ahead = None
                self._copy(everything)
        self._is_taken = True

    def reach(self, index: int) -> None:
        """Wait until the tensor at ``index`` may be written; those before it are written."""
        if self._ahead is not None:
            self._ahead.reach(index)

    def keep(self, part: torch.Tensor) -> None:
        """Copy what lies where a part of the tensors will be written, unless that was done; in any thread."""
        if part.numel() and part.device.type == "cpu":
            first, end = _range(part)
            self._pieces.take_around(first, end - first)

    def left_at(self, part: torch.Tensor) -> bytes:
        """The fingerprint of what was left in a contiguous part, where that is known; else nothing."""
        return self._pieces.left_at(part.data_ptr(), part.nbytes) if part.device.type == "cpu" else b""

    def seal(self) -> None:
        """Note what the live bytes are now: what undoing expects to find."""
        if self._ahead is not None:
            self._ahead.finish()
        if self._in_parts:
            self._copy(range(len(self._pieces.all)))
        self._crew.run([partial(self._look, lane) for lane in self._lanes])

    def restore(self) -> None:
        """Put the old bytes back, in part written or not; may be called again where it was interrupted."""
        self._settle()
        if not self._is_taken:
            return
        with plain_torch():
            for piece in self._pieces.taken():
                piece.put(piece.slot)

    def is_as_left(self, within: torch.Tensor | None = None) -> bool:
        """Whether the live bytes, or those around one plain tensor, are the ones last left there."""
        with plain_torch():
            spare = self._lanes[0].spare
            pairs = zip(self._pieces.all, self._pieces.left, strict=True)
            return all(piece.digest(spare) == left for piece, left in pairs if _meets(piece.live, within))

    def is_different(self, within: torch.Tensor) -> bool:
        """Whether the bytes around one plain tensor became different from the kept ones."""
        pairs = zip(self._pieces.all, self._pieces.stored, self._pieces.left, strict=True)
        return any(stored != left for piece, stored, left in pairs if _meets(piece.live, within))

    def exchange(self, *, check: bool) -> bool:
        """Exchange live and kept bytes, all or none.

        Args:
            check: Stop, leaving all as it was, where live bytes aren't the ones last left there.

        Returns:
            Whether they were exchanged.
        """
        pieces = self._pieces
        before = pieces.stored, pieces.left, self.is_turned
        self._settle()
        for lane in self._lanes:
            lane.begin()
        try:
            is_whole = self._crew.run([partial(_forward, lane, check=check) for lane in self._lanes])
            if is_whole:
                found = [lane.found[at] for lane in self._lanes for at in lane.run]
                pieces.stored, pieces.left, self.is_turned = found, pieces.stored, not self.is_turned
        except BaseException:
            retry_until_complete(self._back)
            pieces.stored, pieces.left, self.is_turned = before
            raise
        if not is_whole:
            retry_until_complete(self._back)
        return is_whole

    def old(self, tensor: torch.Tensor) -> torch.Tensor | None:
        """What is kept of a plain strided ``tensor``, as a tensor of its own; None where not all of it is."""
        with plain_torch():
            twin = twin_of(tensor.cpu() if tensor.device.type != "cpu" else tensor)
            if not tensor.numel():
                return twin
            copied = 0
            base, place = tensor.untyped_storage().data_ptr(), twin.untyped_storage()
            first = tensor.data_ptr() - base
            for block, slot in ((piece.live, piece.slot.data) for piece in self._pieces.all):
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
                    target.copy_(as_block(slot, block))
                    copied += slot.numel()
            return twin if copied >= tensor.numel() * tensor.element_size() else None

    def _copy(self, run: range) -> None:
        self._crew.run([partial(self._take_part, part) for part in _parts(run, len(self._lanes))])

    def _take_part(self, run: range, halt: CancelFlag) -> None:
        with plain_torch():
            self._pieces.take(run, halt)

    def _look(self, lane: BlockSwapper, halt: CancelFlag) -> None:
        with plain_torch():
            self._pieces.look(lane.run, lane.spare, halt)

    def _settle(self) -> None:
        """Come back when no other thread is at work here; may be called again."""
        self._crew.settle()
        if self._ahead is not None:
            self._ahead.call_off()
            self._ahead = None

    def _back(self) -> None:
        """Take back what was exchanged; may be called again where it was interrupted."""
        self._settle()
        with plain_torch():
            for lane in self._lanes:
                lane.back()


def _forward(lane: BlockSwapper, halt: CancelFlag, *, check: bool) -> None:
    with plain_torch():
        lane.forward(halt, check=check)


def _parts(run: range, n: int) -> list[range]:
    """A run in ``n`` parts of nearly the same length."""
    return [run[len(run) * part // n : len(run) * (part + 1) // n] for part in range(n)]


def twin_of(tensor: torch.Tensor) -> torch.Tensor:
    """An uninitialized tensor of its own that lies in memory as a plain strided ``tensor`` does.

    Same sizes, strides, dtype and device: fillers draw other numbers for a tensor that lies otherwise.
    """
    reach = 1 + sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True))
    flat = torch.empty(reach if tensor.numel() else 0, dtype=tensor.dtype, device=tensor.device)
    return flat.as_strided(tensor.shape, tensor.stride())


def _room(n_bytes: int) -> torch.Tensor:
    """Memory of its own, in large pages where the system has them: most of a copy's time goes into small ones."""
    if n_bytes < _LARGE_BYTES or not hasattr(mmap, "MADV_HUGEPAGE"):
        return torch.empty(n_bytes, dtype=torch.uint8, device="cpu")
    # Private: what Python maps by default is shared, and the system gives that in small pages.
    held = mmap.mmap(-1, n_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with contextlib.suppress(OSError):
        held.madvise(mmap.MADV_HUGEPAGE)
    return torch.frombuffer(held, dtype=torch.uint8)


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


class BlockSwapper:
    """A run of pieces with one piece of room beside them.

    Attributes:
        run: Indices of its pieces.
        spare: The room.
        found: The fingerprints of what was live, by index, since `begin`.
    """

    def __init__(self, pieces: Blocks, run: range, room: torch.Tensor) -> None:
        self._pieces = pieces
        self.run = run
        self._room = Buffer(room)
        self.found: dict[int, bytes] = {}
        self._step = (run.start, 0, 0)

    @property
    def spare(self) -> torch.Tensor:
        """The room, as bytes."""
        return self._room.data

    def begin(self) -> None:
        """Be ready for `forward`: nothing is exchanged, nothing to take back."""
        self._step = (self.run.start, 0, 0)
        self.found = {}

    def forward(self, halt: CancelFlag, *, check: bool) -> None:
        """Exchange all pieces; sets ``halt`` where one isn't as it was left."""
        for at in self.run:
            if halt.is_set:
                return
            if not self._exchange(at, at + 1, check=check):
                halt.is_set = True
                return

    def back(self) -> None:
        """Take back what was exchanged; may be called again where it was interrupted."""
        done, at, phase = self._step
        if phase:
            piece = self._pieces.all[at]
            if phase == 2:  # noqa: PLR2004 - what was kept is whole in the model, the slot is in part written over
                piece.keep(piece.slot)
                self._step = (done, at, 1)
            piece.put(self._held(piece.n_bytes))
            self._step = (done, at, 0)
        while self._step[0] > self.run.start:
            last = self._step[0] - 1
            self._exchange(last, last, check=False)

    def _exchange(self, at: int, after: int, *, check: bool) -> bool:
        """Exchange one piece; ``_step`` says how many are exchanged, which one is worked on, and how far it is."""
        done = self._step[0]
        piece = self._pieces.all[at]
        held = self._held(piece.n_bytes)
        piece.keep(held)
        found = held.digest()
        if check and found != self._pieces.left[at]:
            return False
        self.found[at] = found
        slot = piece.slot
        self._step = (done, at, 1)
        piece.put(slot)
        if piece.n_bytes == CHUNK_BYTES:
            # What was live stays in the room, and the kept slot becomes the room: no third copy.
            piece.slot, self._room, self._step = held, slot, (after, at, 0)
        else:
            self._step = (done, at, 2)
            slot.fill(held)
            self._step = (after, at, 0)
        return True

    def _held(self, n_bytes: int) -> Buffer:
        return self._room if n_bytes == self._room.data.numel() else Buffer(self._room.data[:n_bytes])
