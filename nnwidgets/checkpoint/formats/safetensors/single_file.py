"""The safetensors format: eight bytes of length, a JSON header of names, dtypes, shapes and offsets, then the bytes.

Everything its specification says is checked before any byte of a tensor is used: no gaps, no overlaps, nothing beyond
the end, no key twice. The format keeps no checksums; files that were saved here state them in their metadata.
Source: https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from operator import attrgetter, itemgetter
from pathlib import Path
from typing import Any

import torch

from nnwidgets.checkpoint.description import Storage, Strided
from nnwidgets.checkpoint.formats.crc32 import mismatches
from nnwidgets.checkpoint.formats.file import File
from nnwidgets.checkpoint.formats.malformed import Malformed
from nnwidgets.checkpoint.formats.reader import CheckpointReader
from nnwidgets.checkpoint.formats.safetensors import crc_metadata
from nnwidgets.checkpoint.formats.safetensors.strict_json import MOST_BYTES, decode
from nnwidgets.checkpoint.progress import Tick
from nnwidgets.checkpoint.records import Format
from nnwidgets.errors import CorruptCheckpointError
from nnwidgets.formatting import counted

_NAMES = {
    "BOOL": "bool", "U8": "uint8", "I8": "int8", "U16": "uint16", "I16": "int16", "U32": "uint32", "I32": "int32",
    "U64": "uint64", "I64": "int64", "F16": "float16", "BF16": "bfloat16", "F32": "float32", "F64": "float64",
    "C64": "complex64", "F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2", "F8_E4M3FNUZ": "float8_e4m3fnuz",
    "F8_E5M2FNUZ": "float8_e5m2fnuz", "F8_E8M0": "float8_e8m0fnu",
}  # fmt: skip
DTYPES = {code: getattr(torch, name) for code, name in _NAMES.items() if hasattr(torch, name)}
"""The dtypes that the format has names for."""

_KNOWN = {code: (dtype, dtype.itemsize) for code, dtype in DTYPES.items()}
_NARROW = ("F4", "F6_E2M3", "F6_E3M2")

_LENGTH = 8
_FIELDS = ("dtype", "shape", "data_offsets")
_VALUES = itemgetter(*_FIELDS)
_PLACE = attrgetter("offset", "n_bytes")


class Safetensors(CheckpointReader):
    """A safetensors file."""

    format: Format = "safetensors"

    def __init__(self, path: Path, file: File | None = None, *, number: int = 0, prefix: str = "") -> None:
        """Read and check the header.

        Args:
            path: The file.
            file: It, opened.
            number: What its storages say it is among several files.
            prefix: What their keys begin with.

        Raises:
            CorruptCheckpointError: It isn't as the format says.
        """
        self.path = path
        self.files = [file or File(path)]
        self.departures = []
        self._number, self._prefix = number, prefix
        try:
            held, header = self._header()
            self.metadata = self._metadata(header.pop("__metadata__", {}))
            self.content = {name: self._tensor(name, each, len(held)) for name, each in header.items()}
            in_order = self._in_order(len(held))
            if (sums := self.metadata.pop(crc_metadata.KEY, None)) is not None:
                self._state(held, sums, in_order)
        except BaseException:
            self.close()
            raise

    def verify(self, storages: Iterable[Storage], tick: Tick | None = None) -> None:
        """Compare storages with the checksums that the file states, if it does.

        Raises:
            CorruptCheckpointError: One differs; the message names the tensor.
        """
        for storage, found in mismatches(self.files, storages, tick):
            name = storage.key.removeprefix(self._prefix)
            raise CorruptCheckpointError(
                f"{self.path.name} is damaged: {name[:80]!r} has checksum {found:08x}, expected {storage.crc32:08x}.",
                path=str(self.path),
                hint="Get the file again; other readers would take it without a word. If a program changed its tensors "
                f"on purpose, it must leave {crc_metadata.KEY!r} out of the metadata.",
            )

    def _state(self, header: bytes, text: str, storages: list[Storage]) -> None:
        """Give each tensor's storage the checksum that the file states."""
        try:
            sums = crc_metadata.checksums_in(header, text, len(storages))
        except ValueError:
            raise self._fault("has a header that isn't what was written: its checksum differs") from None
        for storage, each in zip(storages, sums or (), strict=False):
            storage.crc32 = each

    def _header(self) -> tuple[bytes, dict[str, Any]]:
        file = self.files[0]
        length = file.read(0, _LENGTH)
        n_bytes = int.from_bytes(length, "little")
        if n_bytes > MOST_BYTES or n_bytes > file.n_bytes - _LENGTH:
            raise self._fault(
                f"says its header has {counted(n_bytes, 'byte')}; it can have "
                f"{min(file.n_bytes - _LENGTH, MOST_BYTES):,}"
            )
        held = file.read(_LENGTH, n_bytes)
        try:
            text = held.decode("utf-8")
            header = decode(text)
        except Malformed as error:
            raise self._fault(str(error)) from None
        except (ValueError, RecursionError) as error:
            raise self._fault(f"has a header that is no JSON ({error})") from None
        if not text.startswith("{") or type(header) is not dict:
            raise self._fault("has a header that is no JSON object")
        return length + held, header

    def _metadata(self, found: Any) -> dict[str, str]:
        if type(found) is not dict or not all(type(each) is str for each in found.values()):
            raise self._fault("has metadata that isn't text by name")
        return found

    def _in_order(self, start: int) -> list[Storage]:
        """The storages in the order of their bytes, which fill the file from the header to the end."""
        made = sorted((each.storage for each in self.content.values()), key=_PLACE)
        at = start
        for storage in made:
            if storage.offset != at:
                what = "has a gap" if storage.offset > at else "has tensors that overlap"
                raise self._fault(f"{what} at byte {min(at, storage.offset):,} ({storage.key[:80]!r})")
            at += storage.n_bytes
        if made:
            self.files[0].check(made[-1].offset, made[-1].n_bytes)
        if at != self.files[0].n_bytes:
            raise self._fault(f"has {counted(self.files[0].n_bytes, 'byte')}, and its tensors end at {at:,}")
        return made

    def _tensor(self, name: str, found: Any, start: int) -> Strided:
        if type(found) is not dict or len(found) != len(_FIELDS):
            raise self._no_fields(name)
        try:
            code, shape, ends = _VALUES(found)
        except KeyError:
            raise self._no_fields(name) from None
        known = _KNOWN.get(code) if type(code) is str else None
        if known is None:
            raise self._unknown(name, code)
        dtype, width = known
        if type(shape) is not list or type(ends) is not list:
            raise self._no_numbers(name)
        for n in *shape, *ends:
            if type(n) is not int or not 0 <= n <= _MOST:
                raise self._no_numbers(name)
        if len(ends) != 2 or ends[0] > ends[1]:  # noqa: PLR2004 - first and last
            raise self._fault(f"has offsets {ends[:4]} of {name[:80]!r}, expected a first and a last")
        first, end = ends
        sizes = tuple(shape)
        strides, n_elements, extent = _contiguous_layout(sizes)
        n_bytes = n_elements * width
        if n_bytes != end - first:
            raise self._fault(
                f"gives {name[:80]!r} {counted(end - first, 'byte')}, and its shape {shape[:8]} needs {n_bytes:,}"
            )
        if extent > _MOST:
            raise self._fault(f"has {name[:80]!r} of shape {shape[:8]}: more elements than there can be")
        storage = Storage(self._prefix + name, self._number, start + first, n_bytes)
        return Strided(dtype, sizes, strides, storage)

    def _unknown(self, name: str, code: Any) -> CorruptCheckpointError:
        if code in _NARROW:
            return CorruptCheckpointError(
                f"{self.path.name} has {name[:80]!r} of dtype {code}, whose elements are less than a byte: this torch "
                "has no such dtype.",
                path=str(self.path),
                hint="The file may be sound: unpack it with the library that wrote it.",
            )
        return self._fault(f"has {name[:80]!r} of dtype {str(code)[:40]!r}, which this torch hasn't")

    def _no_fields(self, name: str) -> CorruptCheckpointError:
        return self._fault(f"describes {name[:80]!r} by something else than dtype, shape and data_offsets")

    def _no_numbers(self, name: str) -> CorruptCheckpointError:
        return self._fault(f"has a shape or offsets of {name[:80]!r} that are no whole numbers")

    def _fault(self, what: str) -> CorruptCheckpointError:
        return CorruptCheckpointError(
            f"{self.path.name} {what}.", path=str(self.path), hint="It is damaged or no safetensors file; get it again."
        )


def recognizes(start: bytes, n_bytes: int) -> bool:
    """Whether a file's first bytes are a safetensors header's."""
    is_object = start[_LENGTH : _LENGTH + 1] == b"{"
    return is_object and int.from_bytes(start[:_LENGTH], "little") < max(n_bytes, 2**32)


@lru_cache(maxsize=1_024)
def _contiguous_layout(shape: tuple[int, ...]) -> tuple[tuple[int, ...], int, int]:
    """Strides and count of elements that lie one after the other, and the count if no size were 0.

    A model has few shapes and many tensors.
    """
    strides, extent = [], 1
    for size in reversed(shape):
        strides.append(extent)
        extent *= size or 1
    return tuple(reversed(strides)), 0 if 0 in shape else extent, extent


_MOST = 2**62
