"""A zip archive written from its beginning to its end, the way torch's own writer lays it out.

Members are stored as they are, begin at multiples of 64, and carry their checksums behind them, so that nothing
written has to be changed later. Sizes and places beyond four gigabytes take the 64-bit fields.
Source: https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT, and caffe2/serialize/inline_container.cc in torch.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass

from nnwidgets.checkpoint.formats.crc32 import crc32
from nnwidgets.checkpoint.writing.hashing_stream import HashingWriter

ALIGNMENT = 64
"""What members begin at a multiple of."""

_LOCAL = struct.Struct("<IHHHHHIIIHH")
_CENTRAL = struct.Struct("<IHHHHHHIIIHHHHHII")
_END_64 = struct.Struct("<IQHHIIQQQQ")
_LOCATOR = struct.Struct("<IIQI")
_END = struct.Struct("<IHHHHIIH")
_UTF8, _SIZES_BEHIND = 0x0800, 0x0008
_MAX_32, _MAX_16 = 0xFFFFFFFF, 0xFFFF
_PADDING = b"FB"
_EXTRA_64 = 1
_FIELD = 4


@dataclass(frozen=True, slots=True)
class _Member:
    name: bytes
    n_bytes: int
    crc32: int
    begin: int


class Zip:
    """An archive that is being written.

    Attributes:
        name: The folder that its members are in.
    """

    def __init__(self, out: HashingWriter, name: str = "archive") -> None:
        self._out, self.name = out, name
        self._members: list[_Member] = []

    def add(self, name: str, n_bytes: int, write: Callable[[], int]) -> None:
        """Add a member.

        Args:
            name: Its name within the folder.
            n_bytes: How many ``write`` writes.
            write: Writes its bytes, and gives their CRC-32.

        Raises:
            OSError: The file can't be written.
        """
        out, begin = self._out, self._out.n_bytes
        encoded = f"{self.name}/{name}".encode()
        is_64 = n_bytes >= _MAX_32
        extra = struct.pack("<HHQQ", _EXTRA_64, 16, 0, 0) if is_64 else b""
        start = begin + _LOCAL.size + len(encoded) + len(extra) + _FIELD
        gap = -start % ALIGNMENT
        extra += _PADDING + struct.pack("<H", gap) + b"Z" * gap
        size = _MAX_32 if is_64 else 0
        out.write(_LOCAL.pack(0x04034B50, 0, _flags(n_bytes), 0, 0, 0, 0, size, size, len(encoded), len(extra)))
        out.write(encoded + extra)
        found = write()
        if n_bytes:
            sizes = struct.pack("<QQ" if is_64 else "<II", n_bytes, n_bytes)
            out.write(struct.pack("<II", 0x08074B50, found) + sizes)
        self._members.append(_Member(encoded, n_bytes, found, begin))

    def add_bytes(self, name: str, data: bytes) -> None:
        """Add a member of some bytes."""
        self.add(name, len(data), lambda: self._out.write(data, crc32))

    def finish(self) -> None:
        """Write the directory."""
        begin = self._out.n_bytes
        for member in self._members:
            self._out.write(_directory_entry(member))
        end = self._out.n_bytes
        n = len(self._members)
        self._out.write(_END_64.pack(0x06064B50, 44, 0x031E, 0x002D, 0, 0, n, n, end - begin, begin))
        self._out.write(_LOCATOR.pack(0x07064B50, 0, end, 1))
        counted = min(n, _MAX_16)
        self._out.write(
            _END.pack(0x06054B50, 0, 0, counted, counted, min(end - begin, _MAX_32), min(begin, _MAX_32), 0)
        )


def overhead(name: str, n_bytes: int) -> int:
    """The most that a member takes beyond its bytes, its entry in the directory included."""
    return _LOCAL.size + _CENTRAL.size + 2 * len(name.encode()) + ALIGNMENT + 80 + (n_bytes and 24)


def _flags(n_bytes: int) -> int:
    return _UTF8 | _SIZES_BEHIND if n_bytes else _UTF8


def _directory_entry(member: _Member) -> bytes:
    extra = b""
    if member.n_bytes >= _MAX_32:
        extra += struct.pack("<QQ", member.n_bytes, member.n_bytes)
    if member.begin >= _MAX_32:
        extra += struct.pack("<Q", member.begin)
    if extra:
        extra = struct.pack("<HH", _EXTRA_64, len(extra)) + extra
    size = min(member.n_bytes, _MAX_32)
    fixed = _CENTRAL.pack(
        0x02014B50, 0, 0, _flags(member.n_bytes), 0, 0, 0, member.crc32, size, size, len(member.name), len(extra),
        0, 0, 0, 0, min(member.begin, _MAX_32),
    )  # fmt: skip
    return fixed + member.name + extra
