"""The pieces that one thread exchanges, and the way back from wherever it was stopped.

Before each step it is noted which, so that whatever interrupts, all can be taken back.
"""

from __future__ import annotations

import torch

from nnwidgets.edit.undo_copy.digest import CHUNK_BYTES
from nnwidgets.edit.undo_copy.memory_blocks import Pieces, Slot
from nnwidgets.edit.undo_copy.threads import Halt


class Lane:
    """A run of pieces with one piece of room beside them.

    Attributes:
        run: Indices of its pieces.
        spare: The room.
        found: The fingerprints of what was live, by index, since `begin`.
    """

    def __init__(self, pieces: Pieces, run: range, room: torch.Tensor) -> None:
        self._pieces = pieces
        self.run = run
        self._room = Slot(room)
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

    def forward(self, halt: Halt, *, check: bool) -> None:
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

    def _held(self, n_bytes: int) -> Slot:
        return self._room if n_bytes == self._room.data.numel() else Slot(self._room.data[:n_bytes])
