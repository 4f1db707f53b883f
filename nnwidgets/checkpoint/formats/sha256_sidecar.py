"""The SHA-256 of a whole file, where whoever made or fetched it left it: for formats that keep no checksums.

It stands in ``NAME.sha256`` beside the file, as ``sha256sum NAME > NAME.sha256`` writes it, or is the name of the file
in a hub's cache: ``blobs/<64 hexadecimal digits>``, which a snapshot links to.
Source: coreutils, ``sha256sum``; huggingface_hub, "Understand caching".
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from nnwidgets.checkpoint.formats.file import File
from nnwidgets.checkpoint.formats.paths import within
from nnwidgets.checkpoint.progress import Tick
from nnwidgets.errors import CorruptCheckpointError, NNWidgetsError
from nnwidgets.formatting import counted

ENDING = ".sha256"
"""Of the names of side files."""


@dataclass(frozen=True, slots=True)
class ExpectedSum:
    """What a file's SHA-256 should be.

    Attributes:
        digest: In lower-case hexadecimal.
        by: Who says so, to be put before "says".
        hint: What to do where it differs.
    """

    digest: str
    by: str
    hint: str


@dataclass(frozen=True, slots=True)
class ExpectedSums:
    """All that is said of a file.

    Attributes:
        sums: What can be compared with it.
        unclear: What can't be understood, in sentences.
    """

    sums: list[ExpectedSum]
    unclear: list[str]


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a side file.

    Attributes:
        digest: What it says; None where it says nothing of the kind.
        name: Of the file that it is about; None where the digits stand alone.
        text: Itself, without its end.
    """

    digest: str | None
    name: str | None
    text: str


def expected_sums(path: Path) -> ExpectedSums:
    """What is said of a file, by those beside it and by its name."""
    sums, unclear = [], []
    for side in side_files(path):
        try:
            digest = digest_in(lines_of(side), side.name.removesuffix(ENDING))
        except (ValueError, NNWidgetsError) as error:
            reason = str(error) if isinstance(error, ValueError) else "can't be read"
            unclear.append(f"{side.name} {reason}: the file wasn't compared with it.")
        else:
            hint = f"Get it again. If it was changed on purpose, remove {side.name}."
            sums.append(ExpectedSum(digest, f"{side.name} beside it", hint))
    if (named := blob_digest(path)) is not None:
        sums.append(
            ExpectedSum(named, "its name in the hub's cache", "Delete it from the cache, and download it again.")
        )
    return ExpectedSums(sums, unclear)


def side_files(path: Path) -> Iterator[Path]:
    """The side files that there are of a file: beside it, and where it is a link, beside what it leads to."""
    places = [path]
    if os.path.islink(path):  # noqa: PTH114 - is_symlink raises on long names
        places.append(Path(os.path.realpath(path)))
    for place in places:
        side = place.with_name(place.name + ENDING)
        try:
            side.stat()
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError:
            # It may be that it has no room for the ending in its name, and so no such file.
            if not os.path.lexists(side):
                continue
        yield side


def lines_of(side: Path) -> list[Line]:
    """What is in a side file, without empty lines.

    Raises:
        ValueError: It is no file of that kind; the message goes on from its name.
        NNWidgetsError: It can't be read.
    """
    try:
        is_file = stat.S_ISREG(side.stat().st_mode)
    except OSError:
        raise ValueError("can't be opened") from None
    if not is_file:
        raise ValueError("is no regular file")
    if side.is_symlink():
        within(side.parent, side.name, side)
    with File(side) as file:
        if file.n_bytes > _MOST_BYTES:
            raise ValueError(f"has {counted(file.n_bytes, 'byte')}, more than is read of a list of checksums")
        text = os.fsdecode(file.read(0, file.n_bytes))
    return [_line(each.removesuffix("\r")) for each in text.split("\n") if each.strip()]


def digest_in(lines: list[Line], name: str) -> str:
    """What some lines say of a file.

    Raises:
        ValueError: Nothing, or two things; the message goes on from the side file's name.
    """
    those = lines_about(lines, name)
    found = {line.digest for line in those if line.digest}
    if len(found) == 1:
        return found.pop()
    if found:
        raise ValueError("has several checksums of it")
    if any(line.digest for line in lines):
        raise ValueError("is about other files")
    raise ValueError("has no SHA-256 as sha256sum writes it")


def lines_about(lines: list[Line], name: str) -> list[Line]:
    """Those that are about a file: by its name, else by the end of a path, else the digits that stand alone."""
    with_digest = [line for line in lines if line.digest]
    if len(lines) == 1 and with_digest and lines[0].name is None:
        return lines
    named = [line for line in with_digest if line.name is not None]
    exact = [line for line in named if line.name == name]
    return exact or [line for line in named if str(line.name).replace(os.sep, "/").rpartition("/")[2] == name]


def stale_sums(*paths: Path) -> list[str]:
    """A warning for each side file that has a sum of what was at a path before, with the command that renews it.

    Args:
        paths: Of a file that was just written: its own, and that of a link which leads there.
    """
    sides = {Path(os.path.realpath(side.parent), side.name): side for path in paths for side in side_files(path)}
    warnings = []
    for side in sides.values():
        name = side.name.removesuffix(ENDING)
        try:
            lines = lines_of(side)
        except (ValueError, NNWidgetsError):
            # It says nothing that a load would take.
            continue
        if those := lines_about(lines, name):
            is_alone = those == lines
            todo = "Remove it, or renew it" if is_alone else "Remove that line, or let it be what this prints"
            command = f"cd {shlex.quote(str(side.parent))} && sha256sum {shlex.quote(name)}"
            command += f" > {shlex.quote(side.name)}" if is_alone else ""
            warnings.append(
                f"{side.name} has the SHA-256 of what {name} was before, so loading refuses it. {todo}: {command}"
            )
    return warnings


def blob_digest(path: Path) -> str | None:
    """The SHA-256 that a file in a hub's cache has for a name, links followed; None for any other file."""
    if not os.path.islink(path) and not _DIGITS.fullmatch(path.name):  # noqa: PTH114 - is_symlink raises on long names
        return None
    real = Path(os.path.realpath(path))
    return real.name if real.parent.name == "blobs" and _LOWER.fullmatch(real.name) else None


def sha256_of(file: File, tick: Tick | None = None) -> str:
    """The SHA-256 of an open file, in lower-case hexadecimal.

    Args:
        file: It.
        tick: Told how many more bytes were read; may raise to cancel.

    Raises:
        CorruptCheckpointError: It ends before, or can't be read.
    """
    made, buffer = hashlib.sha256(), memoryview(bytearray(min(_PIECE, file.n_bytes)))
    for start in range(0, file.n_bytes, _PIECE):
        piece = buffer[: min(_PIECE, file.n_bytes - start)]
        file.read_into(start, piece)
        made.update(piece)
        if tick is not None:
            tick(len(piece))
    return made.hexdigest()


def compare(file: File, sums: Iterable[ExpectedSum], tick: Tick | None = None) -> None:
    """Read a file, and see to it that it is what is said of it.

    Raises:
        CorruptCheckpointError: It isn't.
    """
    found = sha256_of(file, tick)
    for each in sums:
        if found != each.digest:
            raise CorruptCheckpointError(
                f"{file.path.name} isn't what it was: its SHA-256 is {found}, and {each.by} says {each.digest}.",
                path=str(file.path),
                hint=each.hint,
            )


def _line(text: str) -> Line:
    found = _LINE.fullmatch(text)
    if found is None:
        return Line(None, None, text)
    is_escaped, digest, name = found.groups()
    if name is not None and is_escaped:
        name = _ESCAPED.sub(lambda each: _PLAIN[each[0]], name)
    return Line(digest.lower(), name, text)


_LINE = re.compile(r"(\\?)([0-9a-fA-F]{64})(?: [ *](.+)|\s*)", re.DOTALL)
_DIGITS = re.compile(r"[0-9a-fA-F]{64}")
_LOWER = re.compile(r"[0-9a-f]{64}")
_PLAIN = {"\\\\": "\\", "\\n": "\n", "\\r": "\r"}
_ESCAPED = re.compile(r"\\[\\nr]")
_MOST_BYTES = 2**16
_PIECE = 2**22
"""Bytes read at once."""
