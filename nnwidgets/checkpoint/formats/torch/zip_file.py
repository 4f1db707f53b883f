"""The format of ``torch.save`` since 1.6: a zip file of a pickle and one stored member for each storage."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from nnwidgets.checkpoint.description import Storage, Strided, name_of, storages_of, tensors_in
from nnwidgets.checkpoint.formats import other_kinds
from nnwidgets.checkpoint.formats.crc32 import crc32, mismatches
from nnwidgets.checkpoint.formats.file import File
from nnwidgets.checkpoint.formats.malformed import BeyondLimits, Malformed, Repacked
from nnwidgets.checkpoint.formats.pickle.unpickle import MOST_BYTES
from nnwidgets.checkpoint.formats.torch import zip_directory
from nnwidgets.checkpoint.formats.torch.torch_file import TorchFile, as_flat_tensor, storage_id
from nnwidgets.checkpoint.formats.torch.zip_directory import Member
from nnwidgets.checkpoint.progress import Tick
from nnwidgets.checkpoint.records import Format
from nnwidgets.errors import CorruptCheckpointError
from nnwidgets.formatting import counted, inert


class TorchZip(TorchFile):
    """A zip file of ``torch.save``."""

    format: Format = "torch-zip"

    def __init__(self, path: Path, file: File | None = None) -> None:
        """Read and check the directory and the pickle, with their checksums.

        Raises:
            UnsafeCheckpointError: It holds a program, or would have to run one to be read.
            InvalidTargetError: It is a zip file of another kind.
            CorruptCheckpointError: It isn't as the format says.
        """
        self.path = path
        self.files = [file or File(path)]
        self.departures = []
        self.metadata = {}
        self._storages: dict[str, Storage] = {}
        with self._closed_unless_whole():
            self._read()

    def verify(self, storages: Iterable[Storage], tick: Tick | None = None) -> None:
        """Compare storages with their checksums, which torch's own reader doesn't.

        Raises:
            CorruptCheckpointError: One differs; the message names the member and the tensors in it.
        """
        wanted = {each.key: each for each in storages}.values()
        for storage, found in mismatches(self.files, wanted, tick):
            names = [
                name_of(steps)
                for steps, each in tensors_in(self.content)
                if any(one.key == storage.key for one in storages_of(each))
            ]
            told = ", ".join(names[:_MOST_NAMES]) + (" …" if len(names) > _MOST_NAMES else "")
            raise CorruptCheckpointError(
                f"{self.path.name} is damaged: its member {self._prefix}data/{storage.key} has checksum {found:08x}, "
                f"expected {storage.crc32:08x}{f' (it is {told})' if names else ''}.",
                path=str(self.path),
                hint="Get the file again; torch.load would take it without a word.",
            )

    def _read(self) -> None:
        try:
            members = zip_directory.members(self.files[0])
        except Malformed as error:
            names = zip_directory.names_in(self.files[0])
            self._refuse_other_kind(names)
            if type(error) is Repacked:
                error.hint = _put_together(names)
            raise
        self._refuse_other_kind(members)
        if not members:
            raise Malformed(
                "is a zip file with nothing in it: no file of torch.save", "Get it again, or save it again."
            )
        self._prefix = _prefix(members)
        held = {name.removeprefix(self._prefix): each for name, each in members.items()}
        if _PICKLE not in held:
            raise Malformed(f"is a zip file without {_PICKLE}: no file of torch.save")
        self._has_checksums = any(each.crc32 for each in held.values())
        if not self._has_checksums:
            self.departures.append("It was written without checksums: damage to it can't be noticed.")
        self._read_small(held)
        self._members = {name.removeprefix(_DATA): each for name, each in held.items() if name.startswith(_DATA)}
        pickle = self._bytes(held[_PICKLE], MOST_BYTES)
        found = self.unpickle(pickle, 0, self._storage)
        if found.end != len(pickle):
            raise Malformed(f"has {counted(len(pickle) - found.end, 'byte')} after its pickle")
        self.content = found.content
        unused = self._members.keys() - self._storages.keys()
        if unused:
            self.departures.append(f"It has {counted(len(unused), 'storage')} of no tensor ({_some(unused)}).")

    def _read_small(self, held: dict[str, Member]) -> None:
        """The members beside the pickle and the storages."""
        order = b"little"
        for name, member in held.items():
            if name == _PICKLE or name.startswith(_DATA):
                continue
            if name not in _SMALL:
                self.departures.append(f"Its member {name[:80]!r} is none that torch.save writes.")
                continue
            text = self._bytes(member, _MOST_SMALL)
            if name == "byteorder":
                order = text
            elif not text.strip().decode("ascii", "replace").isalnum():
                raise Malformed(f"has the member {name} that says {text[:40]!r}")
            else:
                self.metadata[_SMALL[name]] = text.strip().decode("ascii")
        if "version" not in held:
            self.departures.append("It has no member 'version', without which torch doesn't read it.")
        if order not in (b"little", b"big"):
            raise Malformed(f"has the byte order {order[:40]!r}, expected little or big")
        self._is_swapped = order != sys.byteorder.encode()
        self.metadata["byteorder"] = order.decode()

    def _bytes(self, member: Member, most: int) -> bytes:
        if member.n_bytes > most:
            told = f"has a member {member.name[:80]!r} of {counted(member.n_bytes, 'byte')}, expected at most {most:,}"
            raise BeyondLimits(told)
        made = self.files[0].read(member.offset, member.n_bytes)
        if self._has_checksums and crc32(made, 0) != member.crc32:
            raise Malformed(f"is damaged: its member {member.name[:80]!r} has another checksum than it should")
        return made

    def _refuse_other_kind(self, names: Iterable[str]) -> None:
        kind = other_kinds.kind_of_zip(names)
        if kind is not None:
            raise other_kinds.error_of(kind, self.path)

    def _storage(self, found: Any) -> Strided:
        kind, key, n = storage_id(found, 5)
        storage = self._storages.get(key)
        if storage is None:
            member = self._members.get(key)
            if member is None:
                raise Malformed(f"lacks the storage {key[:40]!r} that its pickle speaks of")
            crc = member.crc32 if self._has_checksums else None
            storage = Storage(key, 0, member.offset, member.n_bytes, crc, self._is_swapped)
            self._storages[key] = storage
        # A storage that isn't a whole number of elements long is told rounded down.
        width = kind.dtype.itemsize
        if not 0 <= storage.n_bytes - n * width < width:
            raise Malformed(
                f"has a storage {key[:40]!r} of {counted(storage.n_bytes, 'byte')}, and its pickle says "
                f"{counted(n, 'element')} of "
                f"{width}"
            )
        return as_flat_tensor(kind, storage, n)


def _prefix(members: dict[str, Member]) -> str:
    """The folder that all members are in."""
    first = next(iter(members), "")
    prefix = first[: first.find("/") + 1]
    for name in members:
        if not prefix or not name.startswith(prefix):
            raise Malformed(
                f"is a zip file whose members are not all in one folder: {first[:60]!r} and {name[:60]!r}",
                _put_together(members) if _PICKLE in (first, name) or _MACOS in f"{first}/{name}" else "",
            )
    return prefix


def _put_together(names: Iterable[str]) -> str:
    """How a file that a zip program packed anew is written as torch does, with the names in it."""
    held = list(names)
    folder = next((name.partition("/")[0] for name in held if not name.startswith(_MACOS)), "")
    if _PICKLE in held:
        return f"{_PACKED}, without its folder: {_AS_TORCH} unzip -d whole {{file}} && zip -0 -X -D -r whole.pt whole."
    if any(name.startswith(_MACOS) for name in held):
        return (
            f"{_PACKED}, with files of macOS's beside it: {_AS_TORCH} unzip -d it {{file}} && cd it && "
            f"zip -0 -X -D -r ../whole.pt {inert(folder, _LONGEST_SHOWN)}."
        )
    return f'{_PACKED}. If you trust it: torch.save(torch.load({{file}}, weights_only=True), "anew.pt").'


def _some(keys: Iterable[str]) -> str:
    return ", ".join(sorted(keys, key=lambda each: (len(each), each))[:_MOST_NAMES])


_PICKLE, _DATA = "data.pkl", "data/"
_SMALL = {
    "version": "version",
    ".format_version": "format_version",
    ".storage_alignment": "storage_alignment",
    ".data/serialization_id": "serialization_id",
    "byteorder": "byteorder",
}
_MOST_SMALL = 4_096
_MOST_NAMES = 6
_MACOS = "__MACOSX/"
_PACKED, _AS_TORCH = "A zip program packed it anew, as it seems", "put it together as torch does by"
_LONGEST_SHOWN = 60
