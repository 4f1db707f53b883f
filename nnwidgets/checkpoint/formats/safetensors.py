"""The safetensors format: eight bytes of length, a JSON header of names, dtypes, shapes and offsets, then the bytes.

Everything its specification says is checked before any byte of a tensor is used: no gaps, no overlaps, nothing beyond
the end, no key twice. The format keeps no checksums; files that were saved here state them in their metadata.
Source: https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from nnwidgets.checkpoint.content import Storage, Strided
from nnwidgets.checkpoint.formats import stated_checksums
from nnwidgets.checkpoint.formats.base import Opened, Progress
from nnwidgets.checkpoint.formats.checksums import differing
from nnwidgets.checkpoint.formats.files import File
from nnwidgets.checkpoint.formats.json_density import density_fault
from nnwidgets.checkpoint.records import Format
from nnwidgets.errors import CorruptCheckpointError

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

MOST_HEADER_BYTES = 100_000_000
"""What the reference reader allows."""

_LENGTH = 8
_FIELDS = {"dtype", "shape", "data_offsets"}


class Safetensors(Opened):
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
            self.content, order = self._tensors(header, len(held))
            if (sums := self.metadata.pop(stated_checksums.KEY, None)) is not None:
                self._state(held, sums, order)
        except BaseException:
            self.close()
            raise

    def verify(self, storages: Iterable[Storage], progress: Progress | None = None) -> None:
        """Compare storages with the checksums that the file states, if it does.

        Raises:
            CorruptCheckpointError: One differs; the message names the tensor.
        """
        for storage, found in differing(self.files, storages, progress):
            name = storage.key.removeprefix(self._prefix)
            raise CorruptCheckpointError(
                f"{self.path.name} is damaged: {name[:80]!r} has checksum {found:08x}, expected {storage.crc32:08x}.",
                path=str(self.path),
                hint="Get the file again; other readers would take it without a word. If a program changed its tensors "
                f"on purpose, it must leave {stated_checksums.KEY!r} out of the metadata.",
            )

    def _state(self, header: bytes, text: str, order: list[str]) -> None:
        """Give each tensor's storage the checksum that the file states."""
        try:
            sums = stated_checksums.stated(header, text, len(order))
        except ValueError:
            raise self._fault("has a header that isn't what was written: its checksum differs") from None
        for name, each in zip(order, sums or (), strict=False):
            self.content[name] = replace(self.content[name], storage=replace(self.content[name].storage, crc32=each))

    def _header(self) -> tuple[bytes, dict[str, Any]]:
        file = self.files[0]
        length = file.read(0, _LENGTH)
        n_bytes = int.from_bytes(length, "little")
        if n_bytes > MOST_HEADER_BYTES or n_bytes > file.n_bytes - _LENGTH:
            raise self._fault(
                f"says its header has {n_bytes:,} bytes; it can have {min(file.n_bytes - _LENGTH, MOST_HEADER_BYTES):,}"
            )
        held = file.read(_LENGTH, n_bytes)
        if fault := density_fault(held):
            raise self._fault(fault)
        try:
            text = held.decode("utf-8")
            header = json.loads(text, object_pairs_hook=self._once, parse_constant=self._no_constant)
        except (UnicodeDecodeError, json.JSONDecodeError, RecursionError, ValueError) as error:
            raise self._fault(f"has a header that is no JSON ({error})") from None
        if not text.startswith("{") or type(header) is not dict:
            raise self._fault("has a header that is no JSON object")
        return length + held, header

    def _once(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) != len(pairs):
            seen: set[str] = set()
            twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
            raise self._fault(f"has the key {twice[:80]!r} twice")
        return made

    def _no_constant(self, text: str) -> None:
        raise self._fault(f"has {text} in its header")

    def _metadata(self, found: Any) -> dict[str, str]:
        if type(found) is not dict or not all(type(each) is str for each in found.values()):
            raise self._fault("has metadata that isn't text by name")
        return found

    def _tensors(self, header: dict[str, Any], start: int) -> tuple[dict[str, Strided], list[str]]:
        """The tensors by name, and their names in the order of their bytes."""
        made = {name: self._tensor(name, each, start) for name, each in header.items()}
        order = sorted(made, key=lambda name: (made[name].storage.offset, made[name].storage.n_bytes))
        at = start
        for name in order:
            storage = made[name].storage
            if storage.offset != at:
                what = "has a gap" if storage.offset > at else "has tensors that overlap"
                raise self._fault(f"{what} at byte {min(at, storage.offset):,} ({storage.key[:80]!r})")
            at += storage.n_bytes
        if at != self.files[0].n_bytes:
            raise self._fault(f"has {self.files[0].n_bytes:,} bytes, and its tensors end at {at:,}")
        return made, order

    def _tensor(self, name: str, found: Any, start: int) -> Strided:
        if type(found) is not dict or found.keys() != _FIELDS:
            raise self._fault(f"describes {name[:80]!r} by something else than dtype, shape and data_offsets")
        code, shape, ends = found["dtype"], found["shape"], found["data_offsets"]
        dtype, width = self._dtype(name, code)
        if type(shape) is not list or type(ends) is not list:
            raise self._no_numbers(name)
        for n in *shape, *ends:
            if type(n) is not int or not 0 <= n <= _MOST:
                raise self._no_numbers(name)
        if len(ends) != 2 or ends[0] > ends[1]:  # noqa: PLR2004 - first and last
            raise self._fault(f"has offsets {ends[:4]} of {name[:80]!r}, expected a first and a last")
        first, end = ends
        strides, step = [], 1
        for size in reversed(shape):
            strides.append(step)
            step *= size or 1
        strides.reverse()
        n_bytes = 0 if 0 in shape else step * width
        if n_bytes != end - first:
            raise self._fault(f"gives {name[:80]!r} {end - first:,} bytes, and its shape {shape[:8]} needs {n_bytes:,}")
        self.files[0].check(start + first, n_bytes)
        storage = Storage(self._prefix + name, self._number, start + first, n_bytes)
        return Strided(dtype, tuple(shape), tuple(strides), storage)

    def _dtype(self, name: str, code: Any) -> tuple[torch.dtype, int]:
        known = _KNOWN.get(code) if type(code) is str else None
        if known is not None:
            return known
        if code in _NARROW:
            raise CorruptCheckpointError(
                f"{self.path.name} has {name[:80]!r} of dtype {code}, whose elements are less than a byte: this torch "
                "has no such dtype.",
                path=str(self.path),
                hint="The file may be sound: unpack it with the library that wrote it.",
            )
        raise self._fault(f"has {name[:80]!r} of dtype {str(code)[:40]!r}, which this torch hasn't")

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


_MOST = 2**62
