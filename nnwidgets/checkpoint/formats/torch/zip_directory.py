"""The directory of a zip file as torch writes it: every byte of the file is a member's, a header's or padding.

Members are stored, never compressed. What stands in the central directory must stand before the member too, so that
no other reader sees another file.
Source: APPNOTE.TXT 6.3 of PKWARE; ``caffe2/serialize/inline_container.cc`` of torch.
"""

from __future__ import annotations

import re
import stat
import struct
from collections.abc import Iterator
from itertools import pairwise
from operator import attrgetter
from typing import Any, NamedTuple

from nnwidgets.checkpoint.formats.file import File
from nnwidgets.checkpoint.formats.malformed import CUT_SHORT, Malformed, Repacked
from nnwidgets.checkpoint.formats.paths import leads_elsewhere
from nnwidgets.formatting import counted


class Member(NamedTuple):
    """A file within the zip file.

    Attributes:
        name: As it stands there.
        offset: Where its bytes begin.
        n_bytes: How many.
        crc32: What the directory says its CRC-32 is.
    """

    name: str
    offset: int
    n_bytes: int
    crc32: int


class _Entry(NamedTuple):
    name: bytes
    text: str
    flags: int
    crc32: int
    n_bytes: int
    header: int


def members(file: File) -> dict[str, Member]:
    """The members of a zip file by name, in the order of their bytes.

    Raises:
        Malformed: It isn't as torch writes it; the text continues ``"<file> "``.
        CorruptCheckpointError: It can't be read.
    """
    try:
        directory, end, n_entries = _ends(file)
    except Malformed as found:
        raise _copied_as_text(file) or found from None
    if end - directory > MOST_DIRECTORY_BYTES:
        raise Malformed(
            f"has a directory of {counted(end - directory, 'byte')}, expected at most {MOST_DIRECTORY_BYTES:,}"
        )
    entries = sorted(_entries(file.read(directory, end - directory), n_entries), key=_HEADER)
    return {each.name: each for each in _locate(file, entries, directory)}


def names_in(file: File) -> list[str]:
    """Names of a zip file's members as any program writes them, to tell what it is; [] where they can't be told."""
    n_bytes = min(file.n_bytes, _MOST_END)
    end = file.read(file.n_bytes - n_bytes, n_bytes)
    at = end.rfind(_END_MARK)
    if at < 0 or at + _END.size > len(end):
        return []
    *_, size, start, _ = _END.unpack_from(end, at)
    if size > _MOST_TOLD or start + size > file.n_bytes:
        return []
    held, made, at = file.read(start, size), [], 0
    while at + _CENTRAL.size <= len(held) and held.startswith(_CENTRAL_MARK, at):
        fields = _CENTRAL.unpack_from(held, at)
        n_name, n_extra, n_comment = fields[10:13]
        at += _CENTRAL.size
        made.append(held[at : at + n_name].decode("utf-8", "replace"))
        at += n_name + n_extra + n_comment
    return made


def _ends(file: File) -> tuple[int, int, int]:
    """Where the central directory begins and ends, and how many members it has."""
    if file.n_bytes < _END.size:
        raise Malformed(f"has {counted(file.n_bytes, 'byte')}, too few for a zip file", CUT_SHORT)
    at = file.n_bytes - _END.size
    mark, disk, first_disk, n_here, n, size, start, comment = _END.unpack(file.read(at, _END.size))
    if mark != _END_MARK or comment:
        raise _no_end(file)
    if disk or first_disk or n_here != n:
        raise Malformed("is one of several parts of a zip file")
    wide_at = at - _LOCATOR.size
    if wide_at >= 0:
        found = _LOCATOR.unpack(file.read(wide_at, _LOCATOR.size))
        if found[0] == _LOCATOR_MARK:
            at, n, size, start = _wide_end(file, wide_at, found, (n, size, start))
    if start + size != at:
        raise Malformed(f"has a directory from byte {start:,} to {start + size:,}, expected it to end at {at:,}")
    return start, at, n


def _no_end(file: File) -> Malformed:
    """What a file that doesn't end in the end of a directory is instead."""
    n_bytes = min(file.n_bytes, _MOST_END)
    last = file.read(file.n_bytes - n_bytes, n_bytes)
    found = last.rfind(_END_MARK, 0, len(last) - _END.size)
    if found >= 0:
        at = file.n_bytes - n_bytes + found + _END.size
        return Malformed(
            f"doesn't end as a zip file does: its end, at byte {at:,}, is followed by "
            f"{counted(file.n_bytes - at, 'byte')}",
            "They were added to it; get it again without them.",
        )
    n = counted(file.n_bytes, "byte")
    told = f"doesn't end as a zip file does: it has {n}, and no directory among the last of them"
    is_zero = not last[-_ONE_HEADER:].strip(b"\0")
    return Malformed(told + (", which are zeros" if is_zero else ""), CUT_SHORT)


def _copied_as_text(file: File) -> Malformed | None:
    """What a file is whose line feeds a program took for ends of lines: all that follows the first has moved."""
    start = file.start()
    n_lines = start.count(b"\n")
    if n_lines < _FEW_LINES or start.count(b"\r\n") != n_lines:
        return None
    return Malformed(
        f"has a carriage return before each line feed in its first {counted(len(start), 'byte')}",
        "It was copied as if it were text; get it again in binary mode.",
    )


def _wide_end(file: File, at: int, found: tuple[Any, ...], narrow: tuple[int, int, int]) -> tuple[int, int, int, int]:
    """Where the zip64 end begins, and what it says in place of the other."""
    _, disk, begin, n_disks = found
    if disk or n_disks != 1 or begin + _WIDE_END.size != at:
        raise Malformed("has a zip64 end that isn't where it is said to be")
    mark, left, _, _, disk, first_disk, n_here, n, size, start = _WIDE_END.unpack(file.read(begin, _WIDE_END.size))
    if mark != _WIDE_MARK or left != _WIDE_END.size - _BEFORE_LEFT or disk or first_disk or n_here != n:
        raise Malformed("has a zip64 end that isn't as the format says")
    for each, wide, most in zip(narrow, (n, size, start), (_U16, _U32, _U32), strict=True):
        if each not in (most, min(wide, most)):
            raise Malformed(f"has two ends that disagree: {each:,} and {wide:,}")
    return begin, n, size, start


def _entries(held: bytes, n_entries: int) -> Iterator[_Entry]:
    """What the central directory says."""
    at = 0
    seen: set[bytes] = set()
    for _ in range(n_entries):
        if at + _CENTRAL.size > len(held):
            raise Malformed(f"says it has {counted(n_entries, 'member')}, and its directory ends after {len(seen):,}")
        (
            mark, _, _, flags, method, _, _, crc32, packed, n_bytes, n_name, n_extra, n_comment, disk, _, attributes,
            header,
        ) = _CENTRAL.unpack_from(held, at)  # fmt: skip
        at += _CENTRAL.size
        name = held[at : at + n_name]
        extra = held[at + n_name : at + n_name + n_extra]
        at += n_name + n_extra
        if mark != _CENTRAL_MARK or at > len(held):
            raise Malformed(f"has a damaged directory: its member {len(seen) + 1:,} of {n_entries:,} is cut")
        text = _text(name)
        if name in seen:
            raise Malformed(f"has two members {text!r}")
        seen.add(name)
        _check_plain(text, flags, method, attributes)
        if extra or _U32 in (n_bytes, packed, header):
            n_bytes, packed, header = _widen(text, extra, [n_bytes, packed, header])
        if packed != n_bytes:
            raise Malformed(f"has the member {text!r} of {counted(n_bytes, 'byte')} stored as {packed:,}")
        if disk or n_comment:
            raise Malformed(f"has a comment on the member {text!r}, or has it in another file; torch writes neither")
        yield _Entry(name, text, flags, crc32, n_bytes, header)
    if at != len(held):
        raise Malformed(f"has {counted(len(held) - at, 'byte')} of no member in its directory")


def _check_plain(text: str, flags: int, method: int, attributes: int) -> None:
    if flags & _ENCRYPTED:
        raise Malformed(f"has an encrypted member {text!r}", "Unpack it with its password; torch writes none that are.")
    if method:
        raise Repacked(f"has the member {text!r} compressed, which torch never does: unpacked it may have any size")
    if flags & ~(_DESCRIBED_AFTER | _UTF8):
        raise Malformed(f"has the member {text!r} with flags {flags:#06x}, which torch doesn't write")
    kind = stat.S_IFMT(attributes >> 16)
    if kind not in (0, stat.S_IFREG):
        raise Malformed(f"has a member {text!r} that is no file but a link, a folder or a device")


def _widen(text: str, extra: bytes, numbers: list[int]) -> list[int]:
    """Sizes and offset, those of 32 full bits taken from the zip64 field."""
    wide = b""
    for kind, field in _fields(text, extra):
        if kind == _ZIP64 and not wide:
            wide = field
        else:
            raise Repacked(f"has a directory entry of {text!r} with a field {kind:#06x}, which torch doesn't write")
    made = []
    for number in numbers:
        if number == _U32:
            if len(wide) < _EIGHT:
                raise Malformed(f"says that the zip64 field of {text!r} has a number that it hasn't")
            made.append(int.from_bytes(wide[:_EIGHT], "little"))
            wide = wide[_EIGHT:]
        else:
            made.append(number)
    if wide:
        raise Malformed(f"has a zip64 field of {text!r} with {counted(len(wide), 'byte')} without a meaning")
    return made


def _fields(text: str, extra: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(extra):
        kind, size = _FIELD.unpack_from(extra, at) if at + _FIELD.size <= len(extra) else (0, _U32)
        at += _FIELD.size + size
        if at > len(extra):
            raise Malformed(f"has the member {text!r} with a field that is cut")
        yield kind, extra[at - size : at]


class _Window:
    """Reads of a file from front to back, as much at a time as headers lie close together."""

    def __init__(self, file: File, width: int) -> None:
        self.file = file
        self.width = width
        self.start = 0
        self.held = b""

    def read(self, at: int, n_bytes: int) -> bytes:
        """Bytes from ``at`` on."""
        begin = at - self.start
        if begin < 0 or begin + n_bytes > len(self.held):
            self.file.check(at, n_bytes)
            self.held = self.file.read(at, min(max(n_bytes, self.width), self.file.n_bytes - at))
            self.start, begin = at, 0
        return self.held[begin : begin + n_bytes]


def _locate(file: File, entries: list[_Entry], directory: int) -> Iterator[Member]:
    """Members where their bytes are, each header compared with the directory, nothing left between them."""
    if entries and entries[0].header:
        raise Malformed(f"begins with {counted(entries[0].header, 'byte')} of no member")
    window = _Window(file, _MANY_HEADERS if directory < len(entries) * _MANY_HEADERS else _ONE_HEADER)
    for entry, after in pairwise([*entries, _Entry(b"", "", 0, 0, 0, directory)]):
        yield _member(window, entry, after.header)


def _member(window: _Window, entry: _Entry, following: int) -> Member:
    text = entry.text
    mark, _, flags, method, _, _, crc32, packed, n_bytes, n_name, n_extra = _LOCAL.unpack(
        window.read(entry.header, _LOCAL.size)
    )
    if mark != _LOCAL_MARK:
        raise Malformed(f"says that the member {text!r} begins at byte {entry.header:,}, where none does")
    name = window.read(entry.header + _LOCAL.size, n_name + n_extra)
    if method or flags != entry.flags or name[:n_name] != entry.name:
        raise Malformed(f"has a header of the member {text!r} that isn't as the directory says")
    is_after = bool(flags & _DESCRIBED_AFTER)
    usual = (0, 0, 0) if is_after else (entry.crc32, entry.n_bytes, entry.n_bytes)
    is_padded = name[n_name : n_name + _FIELD.size] == _FIELD.pack(_PADDING, max(0, n_extra - _FIELD.size))
    if not is_padded or (crc32, packed, n_bytes) != usual:
        _check_local(text, entry, (crc32, packed, n_bytes), name[n_name:])
    offset = entry.header + _LOCAL.size + n_name + n_extra
    gap = following - offset - entry.n_bytes
    if gap < 0:
        raise Malformed(f"has the member {text!r} of {counted(entry.n_bytes, 'byte')} overlap what follows it")
    if is_after:
        if gap > _MOST_AFTER or not _is_descriptor(window.read(offset + entry.n_bytes, gap), entry):
            raise Malformed(f"has no word on the member {text!r} after it, or another than its directory")
    elif gap:
        raise Malformed(f"has {counted(gap, 'byte')} of no member after {text!r}")
    return Member(text, offset, entry.n_bytes, entry.crc32)


def _check_local(text: str, entry: _Entry, numbers: tuple[int, int, int], extra: bytes) -> None:
    wide = b""
    for kind, field in _fields(text, extra):
        if kind == _ZIP64:
            wide = field
        elif kind != _PADDING:
            raise Repacked(f"has the member {text!r} with a field {kind:#06x}, which torch doesn't write")
    after = bool(entry.flags & _DESCRIBED_AFTER)
    crc32, *sizes = numbers
    for size in sizes:
        is_wide = size == _U32 and int.from_bytes(wide[:_EIGHT], "little") in (entry.n_bytes, 0 if after else -1)
        if size != entry.n_bytes and not is_wide and not (after and not size):
            raise Malformed(
                f"has the member {text!r} of {counted(entry.n_bytes, 'byte')}, and before it stands {size:,}"
            )
    if crc32 != entry.crc32 and not (after and not crc32):
        raise Malformed(f"has two checksums of the member {text!r}")


def _is_descriptor(held: bytes, entry: _Entry) -> bool:
    """Whether bytes say of the member before them what the directory says."""
    if entry.n_bytes <= _U32 and held == _DESCRIPTOR.pack(_DESCRIPTOR_MARK, entry.crc32, entry.n_bytes, entry.n_bytes):
        return True
    return held == _WIDE_DESCRIPTOR.pack(_DESCRIPTOR_MARK, entry.crc32, entry.n_bytes, entry.n_bytes)


def _text(name: bytes) -> str:
    """A member's name as text.

    Raises:
        Malformed: It is no text, or leads out of the file.
    """
    if len(name) <= _LONGEST_NAME and _PLAIN_NAME(name):
        return name.decode("ascii")
    if len(name) > _LONGEST_NAME:
        raise Malformed(f"has a member whose name has {counted(len(name), 'byte')}, expected at most {_LONGEST_NAME}")
    try:
        made = name.decode("utf-8")
    except UnicodeDecodeError:
        raise Malformed(f"has a member whose name is no text: {name[:60]!r}") from None
    if made.endswith("/") and made.isprintable() and not leads_elsewhere(made[:-1].split("/")):
        raise Repacked(f"has the folder {made[:60]!r} as a member, which torch doesn't write")
    if not made or not made.isprintable() or "\\" in made or leads_elsewhere(made.split("/")):
        raise Malformed(f"has a member named {made[:60]!r}: a path that leads elsewhere")
    return made


MOST_DIRECTORY_BYTES = 2**27
"""What a million and a half members take."""

_HEADER = attrgetter("header")

_END = struct.Struct("<4s4H2LH")
_LOCATOR = struct.Struct("<4sLQL")
_WIDE_END = struct.Struct("<4sQ2H2L4Q")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_FIELD = struct.Struct("<2H")
_DESCRIPTOR, _WIDE_DESCRIPTOR = struct.Struct("<4s3L"), struct.Struct("<4sL2Q")
_END_MARK, _LOCATOR_MARK, _WIDE_MARK = b"PK\x05\x06", b"PK\x06\x07", b"PK\x06\x06"
_CENTRAL_MARK, _LOCAL_MARK, _DESCRIPTOR_MARK = b"PK\x01\x02", b"PK\x03\x04", b"PK\x07\x08"
_ENCRYPTED, _DESCRIBED_AFTER, _UTF8 = 0x1, 0x8, 0x800
_ZIP64, _PADDING = 0x0001, int.from_bytes(b"FB", "little")
_U16, _U32 = 2**16 - 1, 2**32 - 1
_EIGHT = 8
_LONGEST_NAME = 512
_PLAIN_NAME = re.compile(rb"[\w-]+(?:/[\w-]+)*").fullmatch
"""What nearly all are, which leads nowhere else."""
_BEFORE_LEFT = 12
_MOST_AFTER = 24
_FEW_LINES = 4
_MOST_END = 2**16 + 22
_MOST_TOLD = 2**24
_MANY_HEADERS, _ONE_HEADER = 4_096, 512
