"""Copying old bytes ahead of a writer, and fingerprinting new ones behind it, on a second thread.

Torch draws random numbers on one core. Meanwhile the other one copies what will be overwritten next, and afterwards
looks at what is finished. The writer waits where it would overtake the copy.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

import torch

from nnwidgets.edit.undo_copy.memory_blocks import Blocks
from nnwidgets.edit.undo_copy.threads import CancelFlag, CancellableThread
from nnwidgets.introspect.safe_access.tensors import plain_torch


class Ahead:
    """The second thread."""

    def __init__(self, pieces: Blocks, turns: Sequence[range], spare: torch.Tensor) -> None:
        """Copy ``pieces``.

        Args:
            pieces: What is copied.
            turns: The pieces of each tensor, in the order in which they are written.
            spare: Room for a piece.
        """
        self._pieces, self._turns, self._spare = pieces, turns, spare
        self._halt = CancelFlag()
        self._copied = [threading.Event() for _ in turns]
        self._written = threading.Semaphore(0)
        self._n_written = 0
        self._aside = CancellableThread(self._run, self._halt)

    def start(self) -> None:
        """Begin; RuntimeError where the system gives no thread."""
        self._aside.start()

    def reach(self, turn: int) -> None:
        """Wait until a tensor may be written; those before it are finished."""
        while self._n_written < turn:
            self._n_written += 1
            self._written.release()
        self._copied[turn].wait()
        if self._halt.is_set:
            self._aside.join()

    def finish(self) -> None:
        """Wait until all is copied and looked at; every tensor is finished."""
        while self._n_written < len(self._turns):
            self._n_written += 1
            self._written.release()
        self._aside.join()

    def call_off(self) -> None:
        """Come back when nothing is copied any more; may be called again."""
        self._halt.is_set = True
        self._written.release()
        self._aside.call_off()

    def _run(self) -> None:
        try:
            with plain_torch():
                for turn, copied in zip(self._turns, self._copied, strict=True):
                    self._pieces.take(turn, self._halt)
                    if self._halt.is_set:
                        return
                    copied.set()
                for turn in self._turns:
                    self._written.acquire()
                    if self._halt.is_set:
                        return
                    self._pieces.look(turn, self._spare, self._halt)
        except BaseException:
            self._halt.is_set = True
            raise
        finally:
            for copied in self._copied:
                copied.set()
