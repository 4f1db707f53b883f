"""Files opened to be read: regular ones only, never longer than they are, never mapped.

A mapped file that another process cuts short ends this process; a read of it gives an error. So bytes are read, never
mapped.
"""

from __future__ import annotations

import ctypes
import os
import re
import stat
import threading
from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch

from nnwidgets.errors import CorruptCheckpointError, PathNotFoundError, UnsafeCheckpointError, closest_names


class Closing(ABC):
    """Closed at the end of a ``with`` block, whatever ends it."""

    @abstractmethod
    def close(self) -> None:
        """Close it; may be called again."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class File(Closing):
    """A regular file, open for reading.

    Attributes:
        path: As given.
        n_bytes: Its length when it was opened.
    """

    _start = b""

    def __init__(self, path: Path) -> None:
        """Open it.

        Raises:
            PathNotFoundError: It isn't there.
            UnsafeCheckpointError: It is a pipe, a device, a socket: reading could hang or never end.
            CorruptCheckpointError: It can't be opened.
        """
        self.path = path
        self._fd = _open(path)
        found = os.fstat(self._fd)
        if not stat.S_ISREG(found.st_mode):
            self.close()
            raise UnsafeCheckpointError(
                f"{path.name} is no regular file but a {_kind(found.st_mode)}.",
                path=str(path),
                hint="Name a checkpoint file or a folder of one.",
            )
        self.n_bytes = found.st_size
        self._identity = _identity(found)

    def start(self) -> bytes:
        """Its first bytes, by which its format is told; what is read of them later comes from here."""
        self._start = self.read(0, min(_START, self.n_bytes))
        return self._start

    def read(self, offset: int, n_bytes: int) -> bytes:
        """Bytes from ``offset`` on, exactly as many as asked for.

        Raises:
            CorruptCheckpointError: The file ends before.
        """
        self.check(offset, n_bytes)
        if offset + n_bytes <= len(self._start):
            return self._start[offset : offset + n_bytes]
        held = bytearray(n_bytes)
        self.read_into(offset, memoryview(held))
        return bytes(held)

    def read_into(self, offset: int, out: memoryview) -> None:
        """Fill ``out`` with the bytes from ``offset`` on; other threads run meanwhile.

        Raises:
            CorruptCheckpointError: The file ends before, or can't be read there.
        """
        fd = self._fd if self._fd >= 0 else self._reopen()
        done = 0
        while done < len(out):
            try:
                n = _read_at(fd, out[done : done + _MOST_AT_ONCE], offset + done)
            except OSError as error:
                raise CorruptCheckpointError(
                    f"{self.path.name} can't be read at byte {offset + done:,}: {error.strerror}.", path=str(self.path)
                ) from None
            if not n:
                raise CorruptCheckpointError(
                    f"{self.path.name} ended at byte {offset + done:,}, expected {len(out) - done:,} more.",
                    path=str(self.path),
                    hint="It was cut short; get it again.",
                )
            done += n

    def check(self, offset: int, n_bytes: int) -> None:
        """Make sure that a range lies within the file.

        Raises:
            CorruptCheckpointError: It doesn't.
        """
        if offset < 0 or n_bytes < 0 or offset + n_bytes > self.n_bytes:
            raise CorruptCheckpointError(
                f"{self.path.name} says that bytes {offset:,} to {offset + n_bytes:,} belong to it, and has "
                f"{self.n_bytes:,}.",
                path=str(self.path),
                hint="It was cut short or damaged; get it again.",
            )

    @property
    def is_as_opened(self) -> bool:
        """Whether it has the length and time of change that it was opened with."""
        try:
            found = os.fstat(self._fd) if self._fd >= 0 else self.path.stat()
        except OSError:
            return False
        return _identity(found) == self._identity

    def release(self) -> None:
        """Give its descriptor back, of which a process has about a thousand, until it is read again."""
        self.close()

    def close(self) -> None:
        """Close it; may be called again."""
        self._start = b""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _reopen(self) -> int:
        """Open it once more.

        Raises:
            CorruptCheckpointError: It isn't the file that it was.
        """
        fd = _open(self.path)
        if _identity(os.fstat(fd)) != self._identity:
            os.close(fd)
            raise CorruptCheckpointError(
                f"{self.path.name} was changed while it was being read.", path=str(self.path), hint="Read it again."
            )
        self._fd = fd
        return fd

    def __del__(self) -> None:
        if getattr(self, "_fd", -1) >= 0:
            self.close()


class Window(File):
    """A part of a file that is a file of its own."""

    def __init__(self, file: File, offset: int, n_bytes: int) -> None:  # it opens nothing
        """Take the part.

        Raises:
            CorruptCheckpointError: It reaches beyond the file.
        """
        file.check(offset, n_bytes)
        self.path = file.path
        self.n_bytes = n_bytes
        self._fd = -1
        self._file = file
        self._offset = offset

    def read_into(self, offset: int, out: memoryview) -> None:
        """Fill ``out`` with the bytes from ``offset`` of the part on."""
        self.check(offset, len(out))
        self._file.read_into(self._offset + offset, out)

    @property
    def is_as_opened(self) -> bool:
        """Whether the file is as it was."""
        return self._file.is_as_opened

    def close(self) -> None:
        """Nothing: the file is closed by whoever opened it."""


def memory_of(data: torch.Tensor) -> memoryview:
    """The bytes of a contiguous tensor on the CPU, to read into."""
    n_bytes = data.numel() * data.element_size()
    if not n_bytes:
        return memoryview(bytearray())
    held: Any = (ctypes.c_char * n_bytes).from_address(data.data_ptr())
    held._of = data  # noqa: SLF001 - keeps the memory as long as the view
    return memoryview(held).cast("B")


# A pipe without a writer would block in open already.
_FLAGS = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
_START = 4_096
_MOST_AT_ONCE = 2**30


def _read_at(fd: int, out: memoryview, offset: int) -> int:
    """Read what there is from ``offset`` on, at most as much as ``out`` holds; how much that was."""
    if hasattr(os, "preadv"):
        return os.preadv(fd, [out], offset)
    with _SEEKING:
        os.lseek(fd, offset, os.SEEK_SET)
        found = os.read(fd, min(len(out), _MOST_COPIED))
    out[: len(found)] = found
    return len(found)


_SEEKING = threading.Lock()
"""Windows has one position per open file, and moves it to read."""
_MOST_COPIED = 2**20


def _open(path: Path) -> int:
    try:
        return os.open(path, _FLAGS)
    except FileNotFoundError:
        raise PathNotFoundError(f"There is no file {str(path)!r}.", path=str(path), hint=_closest(path)) from None
    except OSError as error:
        raise CorruptCheckpointError(
            f"{path.name} can't be opened: {error.strerror}.", path=str(path), hint="Check its permissions."
        ) from None


def _identity(found: os.stat_result) -> tuple[int, int]:
    return found.st_size, found.st_mtime_ns


def _kind(mode: int) -> str:
    kinds = {
        stat.S_IFDIR: "folder",
        stat.S_IFIFO: "pipe",
        stat.S_IFSOCK: "socket",
        stat.S_IFCHR: "device",
        stat.S_IFBLK: "device",
    }
    return kinds.get(stat.S_IFMT(mode), "special file")


def _closest(path: Path) -> str:
    if _ADDRESS.match(str(path)):
        return "It is an address: download the file, and name that."
    try:
        names = sorted(each.name for each in path.absolute().parent.iterdir())[:_MOST_NAMES]
    except OSError:
        return f"Nor is there a folder {str(path.parent)!r}."
    closest = closest_names(path.name, names)
    return f"Did you mean {' or '.join(map(repr, closest))}?" if closest else ""


_MOST_NAMES = 2_000
_ADDRESS = re.compile(r"(https?|s3|gs|hf|ftp):/")
