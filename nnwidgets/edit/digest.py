"""Fingerprints of memory, at memory speed, that tell whether a change's bytes are still what it left.

Nothing short of the bytes will do: ``.data`` and numpy edits raise no version counter. A small piece is hashed as it
is. A large one is laid out as rows of 128 words, and what is hashed are the sums of its rows and of its columns, which
torch makes as fast as it reads: any edit of one word, any exchange of two, any edit of a run of neighbours changes one
of them (the odd number of rows is why a sign flipped everywhere does). It is made against accidents, not against
forgers.
"""

from __future__ import annotations

import ctypes
import hashlib
import threading

import torch

CHUNK_BYTES = 8 * 128 * 255
"""Bytes of a full piece: whole rows, whole elements of every dtype, and of words few enough (32,768) that torch works
through them in the calling thread. Its threads meet at a barrier after each operation, which costs milliseconds where
a training cell has the cores."""

_ROW = 128
_WORD = 8
_SMALL_BYTES = 16_384


def digest(data: torch.Tensor) -> bytes:
    """Fingerprint bytes.

    Args:
        data: A contiguous one-dimensional ``uint8`` tensor on the CPU that starts at a multiple of eight bytes.

    Example:
        >>> import torch
        >>> data = torch.zeros(100_000, dtype=torch.uint8)
        >>> before = digest(data)
        >>> data.numpy()[70_000] = 1
        >>> digest(data) == before
        False
    """
    n = data.numel()
    if n <= _SMALL_BYTES:
        return hashlib.sha256(_memory(data)).digest()
    if n == CHUNK_BYTES:
        return digest_words(words_of(data.view(torch.int64)))
    n_rows = (n // (_ROW * _WORD) - 1) | 1
    covered = n_rows * _ROW * _WORD
    grid = data[:covered].view(torch.int64).view(n_rows, _ROW)
    sums = torch.empty(_ROW + n_rows, dtype=torch.int64, device="cpu")
    torch.sum(grid, 0, out=sums[:_ROW])
    torch.sum(grid, 1, out=sums[_ROW:])
    hashed = hashlib.sha256(_memory(sums))
    hashed.update(_memory(data[covered:]))
    return hashed.digest()


def words_of(piece: torch.Tensor) -> torch.Tensor:
    """The words of a full piece, laid out in rows."""
    return piece.view(_ROWS, _ROW)


def digest_words(words: torch.Tensor) -> bytes:
    """Fingerprint a full piece, given as `words_of` it: the same as `digest` of its bytes, without what that checks."""
    room = getattr(_ROOMS, "held", None)
    if room is None:
        room = _ROOMS.held = _Room()
    torch.sum(words, 0, out=room.columns)
    torch.sum(words, 1, out=room.rows)
    return hashlib.sha256(room.memory).digest()


class _Room:
    """Where the sums of one full piece go, made once in each thread."""

    def __init__(self) -> None:
        self._sums = torch.empty(_ROW + _ROWS, dtype=torch.int64, device="cpu")
        self.columns, self.rows = self._sums[:_ROW], self._sums[_ROW:]
        self.memory = _memory(self._sums)


_ROWS = CHUNK_BYTES // (_ROW * _WORD)
_ROOMS = threading.local()


def _memory(data: torch.Tensor) -> ctypes.Array[ctypes.c_char]:
    return (ctypes.c_char * (data.numel() * data.element_size())).from_address(data.data_ptr() or 1)
