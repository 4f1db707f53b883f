"""Pieces of tensors worked through by a few threads, with a word after each of how far that is."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import TypeVar

import torch

from nnwidgets.edit.undo_copy.digest import CHUNK_BYTES
from nnwidgets.edit.undo_copy.threads import Crew, Halt
from nnwidgets.introspect.safe_access.tensors import reading

PIECE_BYTES = CHUNK_BYTES
"""As of an undo copy: a piece is copied, read and fingerprinted while it is in the cache."""

_MOST_LANES = 4

Piece = TypeVar("Piece")


def in_lanes(
    pieces: Iterable[Piece],
    begin: Callable[[], Callable[[Piece], int]],
    told: Callable[[int], None],
    *,
    n_bytes: int,
) -> None:
    """Work through pieces, each once, on as many threads as there is work for.

    Args:
        pieces: Taken by one thread at a time.
        begin: Called by each thread; gives what it does with a piece, which gives how many bytes that was.
        told: Told those bytes, by one thread at a time; may raise to stop all.
        n_bytes: Of all pieces, about.
    """
    waiting = iter(pieces)
    lock = threading.Lock()

    def lane(halt: Halt) -> None:
        with reading():
            work = begin()
            while not halt.is_set:
                with lock:
                    piece = next(waiting, None)
                if piece is None:
                    return
                done = work(piece)
                with lock:
                    told(done)

    Crew().run([lane] * min(_MOST_LANES, torch.get_num_threads(), max(1, n_bytes // PIECE_BYTES)))
