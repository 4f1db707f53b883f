"""CRC-32 of storages, in pieces, on a few threads: torch keeps one of each and doesn't look at it."""

from __future__ import annotations

import os
import threading
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from operator import attrgetter
from queue import SimpleQueue

from nnwidgets.checkpoint.description import Storage
from nnwidgets.checkpoint.formats.file import File
from nnwidgets.checkpoint.progress import Tick


def _fastest() -> Callable[[bytes | memoryview, int], int]:
    """The quickest there is; both give the same."""
    try:
        from isal import isal_zlib
    except ImportError:
        return zlib.crc32
    return isal_zlib.crc32


crc32 = _fastest()
"""CRC-32 of bytes, going on from another."""


def joined(first: int, second: int, n_second: int) -> int:
    """The CRC-32 of bytes and ``n_second`` more, of those of both.

    Source: ``crc32_combine`` in zlib: multiplication of polynomials over two elements.

    Example:
        >>> joined(crc32(b"ab", 0), crc32(b"cde", 0), 3) == crc32(b"abcde", 0)
        True
    """
    power, made, n_bits = 1 << 30, 1 << 31, 8 * n_second
    while n_bits:
        if n_bits & 1:
            made = _product(made, power)
        power = _product(power, power)
        n_bits >>= 1
    return _product(made, first) ^ second


def _product(a: int, b: int) -> int:
    """Of two polynomials, by CRC-32's; the highest bit is the constant."""
    made = 0
    while a:
        if a & 0x80000000:
            made ^= b
        a = (a << 1) & 0xFFFFFFFF
        b = (b >> 1) ^ (0xEDB88320 if b & 1 else 0)
    return made


def mismatches(
    files: list[File], storages: Iterable[Storage], tick: Tick | None = None
) -> Iterator[tuple[Storage, int]]:
    """Storages whose checksum isn't what the file says, with the checksum they have.

    Args:
        files: That they are in.
        storages: Those without a checksum are left out.
        tick: Told how many more bytes were read, on the caller's thread; may raise to cancel.

    Raises:
        CorruptCheckpointError: A file ends before.
    """
    summed = sorted((each for each in storages if each.crc32 is not None), key=attrgetter("offset"))
    work = _Work(files, deque(sorted(summed, key=attrgetter("file"))))
    n_left = max(1, min(_MOST_THREADS, os.cpu_count() or 1, len(work.waiting)))
    threads = [threading.Thread(target=work.run, name="nnwidgets-checksums") for _ in range(n_left)]
    for thread in threads:
        thread.start()
    try:
        while n_left:
            news = work.told.get()
            if news is None:
                n_left -= 1
            elif isinstance(news, Exception):
                raise news
            elif isinstance(news, tuple):
                yield news
            elif tick is not None:
                tick(news)
    finally:
        work.is_stopped = True
        for thread in threads:
            thread.join()


class _Work:
    """What the threads share: storages not yet looked at, and what to tell the caller."""

    def __init__(self, files: list[File], waiting: deque[Storage]) -> None:
        self.files = files
        self.waiting = waiting
        self.told: SimpleQueue[int | tuple[Storage, int] | Exception | None] = SimpleQueue()
        self.is_stopped = False

    def run(self) -> None:
        """Look at storages until none is left; None is the last that is told."""
        held = memoryview(bytearray(PIECE))
        n_read = 0
        try:
            while not self.is_stopped:
                try:
                    storage = self.waiting.popleft()
                except IndexError:
                    break
                made = 0
                for start in range(0, storage.n_bytes, PIECE):
                    piece = held[: min(PIECE, storage.n_bytes - start)]
                    self.files[storage.file].read_into(storage.offset + start, piece)
                    made = crc32(piece, made)
                    n_read += len(piece)
                    # Many small storages are told of together.
                    if n_read >= _TOLD:
                        self.told.put(n_read)
                        n_read = 0
                    if self.is_stopped:
                        return
                if made != storage.crc32:
                    self.told.put((storage, made))
        except Exception as error:  # noqa: BLE001 - raised again on the caller's thread
            self.told.put(error)
        finally:
            if n_read:
                self.told.put(n_read)
            self.told.put(None)


PIECE = 2**22
"""Bytes read at once: held by each thread."""
_TOLD = 2**20
_MOST_THREADS = 4
