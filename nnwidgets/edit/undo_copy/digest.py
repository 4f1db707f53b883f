"""Fingerprints of memory, at memory speed, that tell whether a change's bytes are still what it left.

Nothing short of the bytes will do: ``.data`` and numpy edits raise no version counter. They are made against
accidents, not against forgers.
"""

from __future__ import annotations

import ctypes

import xxhash

CHUNK_BYTES = 2**20
"""Bytes of a full piece: whole elements of every dtype.

Few enough that a piece and its copy stay in the cache; many enough that the threads that work on them, which hand
Python's lock to each other with each call, spend their time on the bytes.
"""


def digest(address: int, n_bytes: int) -> bytes:
    """Fingerprint a run of memory on the CPU, in the calling thread and without Python's lock.

    Example:
        >>> import torch
        >>> data = torch.zeros(100_000, dtype=torch.uint8)
        >>> before = digest(data.data_ptr(), 100_000)
        >>> data.numpy()[70_000] = 1
        >>> digest(data.data_ptr(), 100_000) == before
        False
    """
    return xxhash.xxh3_128_digest((ctypes.c_char * n_bytes).from_address(address) if n_bytes else b"")
