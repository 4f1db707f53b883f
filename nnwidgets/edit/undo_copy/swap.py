"""The undo copy: old bytes beside live ones, exchanged to undo and exchanged again to redo.

One buffer serves both directions, so redo costs no memory. Blocks are exchanged one by one while they are in the
cache, each fingerprinted on the way, by as many threads as there are lanes.

Undoing costs more than a plain copy, by what it moves: a copy of n bytes reads 2 n (what it overwrites is fetched too)
and writes n; an exchange reads 2 n and writes 2 n, and each block is fingerprinted on top. To copy the old bytes back
and let go of the new ones would be faster, but then nothing could be redone, nor put back where an edit by other code
shows up half-way.
"""

from __future__ import annotations

import contextlib
import mmap
from collections.abc import Iterable, Sequence
from functools import partial
from itertools import accumulate, repeat

import torch

from nnwidgets.edit.undo_copy.digest import CHUNK_BYTES
from nnwidgets.edit.undo_copy.memory_blocks import Blocks, Buffer, as_block, blocks_of
from nnwidgets.edit.undo_copy.threads import CancelFlag, ThreadGroup, retry_until_complete
from nnwidgets.introspect.safe_access.tensors import plain_torch

_ALIGNMENT = 64
_LARGE_BYTES = 8 * 2**20
_MOST_LANES = 4
_LOOSEST = 1.25
"""How much larger than what it is used for a room may be: the history's budget counts what is kept in it."""


class KeptBytes:
    """The bytes of some tensors as they were.

    Attributes:
        size_bytes: Of the copy.
        is_turned: Whether an odd number of exchanges was made.
        room: The memory that it lies in.
    """

    def __init__(self, tensors: Sequence[torch.Tensor], rooms: list[torch.Tensor] | None = None) -> None:
        """Make room for the bytes of plain strided tensors; `before` copies them.

        Args:
            tensors: They.
            rooms: What undo copies that are gone leave; one that is about as large is taken, the others are let go
                before new memory is asked for.

        Raises:
            RuntimeError: There is no room; MemoryError and OSError mean the same.
        """
        with plain_torch():
            live = blocks_of(tensors)
            sizes = [block.nbytes for block in live]
            self.size_bytes = sum(sizes)
            spaced = [-(-size // _ALIGNMENT) * _ALIGNMENT for size in sizes]
            n_lanes = min(_MOST_LANES, torch.get_num_threads()) if self.size_bytes >= _LARGE_BYTES else 1
            n_spare = min(CHUNK_BYTES, max(spaced, default=0))
            *offsets, at_spares = accumulate(spaced, initial=0)
            n_bytes = at_spares + n_lanes * n_spare
            self.room = _room(n_bytes, rooms or [])
            room = self.room[:n_bytes]
            self._blocks = Blocks(live, map(Buffer, repeat(room), offsets, sizes))
            runs = _parts(range(len(live)), n_lanes)
            spares = torch.split(room[at_spares:], n_spare) if n_spare else (room,)
            self._lanes = [BlockSwapper(self._blocks, run, spare) for run, spare in zip(runs, spares, strict=True)]
        self._threads = ThreadGroup()
        self._may_be_written = False
        self.is_turned = False

    def before(self, part: torch.Tensor | None = None) -> None:
        """Keep what is about to be written, unless that was done: all, or around a plain tensor; that in any thread."""
        if part is None:
            self._copy_rest()
            self._may_be_written = True
        else:
            self._may_be_written = True
            self._blocks.take_around(part)

    def fingerprint(self, address: int, n_bytes: int) -> bytes:
        """The fingerprint of what the change left in a run of memory on the CPU, where that is known; else nothing."""
        return self._blocks.left_at(address, n_bytes)

    def seal(self) -> None:
        """Note what the live bytes are now: what undoing expects to find."""
        self._copy_rest()
        self._threads.run([partial(self._look, lane) for lane in self._lanes])

    def restore(self) -> None:
        """Put the old bytes back, in part written or not; may be called again where it was interrupted."""
        self._threads.settle()
        if self._may_be_written:
            with plain_torch():
                for block in self._blocks.with_copies():
                    block.put(block.slot)

    def blocks_around(self, tensor: torch.Tensor) -> list[int]:
        """The numbers of the blocks that hold the bytes of a plain tensor."""
        return self._blocks.meeting(tensor)

    def is_as_left(self, numbers: Iterable[int] | None = None) -> bool:
        """Whether the live bytes, of all blocks or of some, are the ones last left there."""
        with plain_torch():
            spare = self._lanes[0].spare
            numbers = range(len(self._blocks.all)) if numbers is None else numbers
            return all(self._blocks.all[at].digest(spare) == self._blocks.left[at] for at in numbers)

    def foreign_blocks(self) -> set[int]:
        """The numbers of the blocks whose live bytes aren't the ones last left there."""
        return {at for at in range(len(self._blocks.all)) if not self.is_as_left([at])}

    def changed_blocks(self) -> set[int]:
        """The numbers of the blocks whose bytes became different from the kept ones."""
        pairs = enumerate(zip(self._blocks.stored, self._blocks.left, strict=True))
        return {at for at, (stored, left) in pairs if stored != left}

    def exchange(self, *, check: bool) -> bool:
        """Exchange live and kept bytes, all or none.

        Args:
            check: Stop, leaving all as it was, where live bytes aren't the ones last left there.

        Returns:
            Whether they were exchanged.
        """
        blocks = self._blocks
        before = blocks.stored, blocks.left, self.is_turned
        self._threads.settle()
        for lane in self._lanes:
            lane.begin()
        try:
            is_whole = self._threads.run([partial(_forward, lane, check=check) for lane in self._lanes])
            if is_whole:
                found = [lane.found[at] for lane in self._lanes for at in lane.run]
                blocks.stored, blocks.left, self.is_turned = found, blocks.stored, not self.is_turned
        except BaseException:
            retry_until_complete(self._back)
            blocks.stored, blocks.left, self.is_turned = before
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
            copied, place = 0, twin.untyped_storage()
            for block in (self._blocks.all[at] for at in self._blocks.meeting(tensor)):
                live, slot = block.live, block.slot.data
                offset = live.data_ptr() - tensor.data_ptr()
                if live.is_contiguous():
                    low, high = max(offset, 0), min(offset + slot.numel(), place.nbytes())
                    if low < high:
                        whole = torch.empty(0, dtype=torch.uint8).set_(place)
                        whole[low:high] = slot[low - offset : high - offset]
                        copied += high - low
                elif live.dtype is tensor.dtype and 0 <= offset < place.nbytes():
                    target = torch.empty(0, dtype=live.dtype).set_(
                        place, offset // live.element_size(), tuple(live.shape), live.stride()
                    )
                    target.copy_(as_block(slot, live))
                    copied += slot.numel()
            return twin if copied >= tensor.numel() * tensor.element_size() else None

    def _copy_rest(self) -> None:
        """Copy what wasn't copied yet."""
        self._threads.run([partial(self._take, lane.run) for lane in self._lanes])

    def _take(self, run: range, halt: CancelFlag) -> None:
        with plain_torch():
            self._blocks.take(run, halt)

    def _look(self, lane: BlockSwapper, halt: CancelFlag) -> None:
        with plain_torch():
            self._blocks.look(lane.run, lane.spare, halt)

    def _back(self) -> None:
        """Take back what was exchanged; may be called again where it was interrupted."""
        self._threads.settle()
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


def _room(n_bytes: int, rooms: list[torch.Tensor]) -> torch.Tensor:
    """Memory of its own: one of ``rooms``, emptied of the others, or new.

    New memory comes in large pages where the system has them: most of a copy's time goes into waiting for small ones.
    """
    fitting = [each for each in rooms if n_bytes <= each.numel() <= _LOOSEST * n_bytes]
    rooms.clear()
    if n_bytes >= _LARGE_BYTES and fitting:
        return min(fitting, key=torch.Tensor.numel)
    fitting.clear()
    if n_bytes < _LARGE_BYTES or not hasattr(mmap, "MADV_HUGEPAGE"):
        return torch.empty(n_bytes, dtype=torch.uint8, device="cpu")
    # Private: what Python maps by default is shared, and the system gives that in small pages.
    held = mmap.mmap(-1, n_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with contextlib.suppress(OSError):
        held.madvise(mmap.MADV_HUGEPAGE)
    return torch.frombuffer(held, dtype=torch.uint8)


class BlockSwapper:
    """A run of blocks with room for one beside them.

    Attributes:
        run: Indices of its blocks.
        spare: The room.
        found: The fingerprints of what was live, by index, since `begin`.
    """

    def __init__(self, blocks: Blocks, run: range, room: torch.Tensor) -> None:
        self._blocks = blocks
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
        """Exchange all blocks; sets ``halt`` where one isn't as it was left."""
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
            block = self._blocks.all[at]
            if phase == 2:  # noqa: PLR2004 - what was kept is whole in the model, the slot is in part written over
                block.keep(block.slot)
                self._step = (done, at, 1)
            block.put(self._held(block.n_bytes))
            self._step = (done, at, 0)
        while self._step[0] > self.run.start:
            last = self._step[0] - 1
            self._exchange(last, last, check=False)

    def _exchange(self, at: int, after: int, *, check: bool) -> bool:
        """Exchange one block; ``_step`` says how many are exchanged, which one is worked on, and how far it is."""
        done = self._step[0]
        block = self._blocks.all[at]
        held = self._held(block.n_bytes)
        block.keep(held)
        found = held.digest()
        if check and found != self._blocks.left[at]:
            return False
        self.found[at] = found
        slot = block.slot
        self._step = (done, at, 1)
        block.put(slot)
        if block.n_bytes == CHUNK_BYTES:
            # What was live stays in the room, and the kept slot becomes the room: no third copy.
            block.slot, self._room, self._step = held, slot, (after, at, 0)
        else:
            self._step = (done, at, 2)
            slot.fill(held)
            self._step = (after, at, 0)
        return True

    def _held(self, n_bytes: int) -> Buffer:
        return self._room if n_bytes == self._room.n_bytes else Buffer(self._room.data, 0, n_bytes)
