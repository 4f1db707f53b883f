"""CRC-32 of storages, in pieces, on a few threads: torch keeps one of each and doesn't look at it."""

from __future__ import annotations

import os
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from queue import SimpleQueue

from nnwidgets.checkpoint.content import Storage
from nnwidgets.checkpoint.formats.files import File


def _fastest() -> Callable[[bytes | memoryview, int], int]:
    """The quickest there is; both give the same."""
    try:
        from isal import isal_zlib
    except ImportError:
        return zlib.crc32
    return isal_zlib.crc32


crc32 = _fastest()
"""CRC-32 of bytes, going on from another."""


def differing(
    files: list[File], storages: Iterable[Storage], progress: Callable[[int], None] | None = None
) -> Iterator[tuple[Storage, int]]:
    """Storages whose checksum isn't what the file says, with the checksum they have.

    Args:
        files: That they are in.
        storages: Those without a checksum are left out.
        progress: Told how many more bytes were read, on the caller's thread; may raise to cancel.

    Raises:
        CorruptCheckpointError: A file ends before.
    """
    waiting = [each for each in storages if each.crc32 is not None]
    told: SimpleQueue[int | None] = SimpleQueue()
    stop = threading.Event()

    def checked(storage: Storage) -> int | None:
        held = memoryview(bytearray(min(PIECE, storage.n_bytes)))
        made, done = 0, 0
        while done < storage.n_bytes:
            if stop.is_set():
                return None
            piece = held[: min(PIECE, storage.n_bytes - done)]
            files[storage.file].read_into(storage.offset + done, piece)
            made = crc32(piece, made)
            done += len(piece)
            told.put(len(piece))
        return made

    with ThreadPoolExecutor(max(1, min(_MOST_THREADS, os.cpu_count() or 1, len(waiting)))) as pool:
        try:
            futures = {pool.submit(checked, each): each for each in waiting}
            for future in futures:
                future.add_done_callback(lambda _: told.put(None))
            left = len(futures)
            while left:
                n = told.get()
                if n is None:
                    left -= 1
                elif progress is not None:
                    progress(n)
            for future in as_completed(futures):
                made = future.result()
                if made != futures[future].crc32 and made is not None:
                    yield futures[future], made
        finally:
            stop.set()


PIECE = 2**22
"""Bytes read at once: held by each thread."""
_MOST_THREADS = 4
