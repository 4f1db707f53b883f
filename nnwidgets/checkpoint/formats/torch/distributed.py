"""Torch's distributed checkpoints: a folder of data files, and ``.metadata``, which says what is where in them.

``.metadata`` is a pickle that torch's own reader executes. Here it goes through the machine that runs nothing, with the
classes of torch.distributed.checkpoint as records. Each piece of a tensor lies in a data file as a small file of
``torch.save``, which is read and checked as any of those.
Source: torch.distributed.checkpoint, metadata.py and filesystem.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeGuard

import torch

from nnwidgets.checkpoint.description import (
    Composed,
    Described,
    Opaque,
    Storage,
    Strided,
    distinct_storages,
    dtype_name,
    tensors_in,
)
from nnwidgets.checkpoint.formats.crc32 import crc32, mismatches
from nnwidgets.checkpoint.formats.file import File, Window
from nnwidgets.checkpoint.formats.malformed import Malformed
from nnwidgets.checkpoint.formats.paths import within
from nnwidgets.checkpoint.formats.pickle.machine import PickleResult
from nnwidgets.checkpoint.formats.pickle.unpickle import MOST_BYTES, unpickle
from nnwidgets.checkpoint.formats.reader import CheckpointReader
from nnwidgets.checkpoint.formats.torch.zip_file import TorchZip
from nnwidgets.checkpoint.progress import Tick
from nnwidgets.checkpoint.records import Format
from nnwidgets.errors import CorruptCheckpointError, UnsafeCheckpointError
from nnwidgets.formatting import counted

METADATA = ".metadata"

_MOST_VALUES = 100_000


class Distributed(CheckpointReader):
    """The folder of a distributed checkpoint."""

    format: Format = "distributed"

    def __init__(self, path: Path) -> None:
        """Read and check what says where everything is.

        Raises:
            UnsafeCheckpointError: It would have to run code to be read, or names a file outside its folder.
            CorruptCheckpointError: It isn't as it should be.
        """
        self.path = path
        self.files = [File(path / METADATA)]
        self.departures = []
        self.metadata = {}
        self._numbers: dict[str, int] = {}
        self._pieces: dict[str, Storage] = {}
        self._summed: set[str] = set()
        self._known: dict[str, Strided] = {}
        self._alike: dict[bytes, tuple[Any, PickleResult]] = {}
        try:
            self._read()
        except Malformed as error:
            self.close()
            raise self._fault(str(error)) from None
        except BaseException:
            self.close()
            raise

    def verify(self, storages: Iterable[Storage], tick: Tick | None = None) -> None:
        """Compare pieces with their checksums: those of `.metadata`, where it has any, else their own."""
        held = [(each, each.key.partition(":")[0]) for each in storages if each.held is None]
        whole = {key: self._pieces[key] for _, key in held if key in self._summed}
        own = (self._located(each) for each, key in held if key not in self._summed)
        self._compare([*whole.values(), *own], tick)

    def _located(self, storage: Storage) -> Storage:
        return self._saved(storage).storage if storage.key in self._pieces else storage

    def located(self, described: Described) -> Described:
        """A tensor by where its elements are, in place of where its pieces are saved."""
        if isinstance(described, Composed):
            return replace(described, parts=tuple((name, self._found(part)) for name, part in described.parts))
        return self._found(described)

    def _compare(self, storages: Sequence[Storage], tick: Tick | None = None) -> None:
        for storage, found in mismatches(self.files, storages, tick):
            raise CorruptCheckpointError(
                f"{self.files[storage.file].path.name} is damaged: its {counted(storage.n_bytes, 'byte')} from "
                f"{storage.offset:,} on have checksum {found:08x}, expected {storage.crc32:08x}.",
                path=str(self.path),
                hint="Get the file again; torch would load it without a word.",
            )

    def _strided(self, described: Strided, storages: dict[str, torch.Tensor] | None) -> torch.Tensor:
        return super()._strided(self._found(described), storages)

    def _found(self, described: Strided) -> Strided:
        """A piece by where its elements are.

        Raises:
            CorruptCheckpointError: Something else is there.
        """
        if described.storage.held is not None or described.storage.key not in self._pieces:
            return described
        found = self._saved(described.storage)
        if (found.shape, found.dtype) != (described.shape, described.dtype):
            raise self._fault(
                f"has a piece of shape {found.shape} and {dtype_name(found.dtype)} where {described.shape} and "
                f"{dtype_name(described.dtype)} should be"
            )
        return found

    def _saved(self, storage: Storage) -> Strided:
        """The one tensor that is saved in a part of a data file; read once."""
        known = self._known.get(storage.key)
        if known is None:
            file = self.files[storage.file]
            with _Piece(file.path, Window(file, storage.offset, storage.n_bytes), self._alike) as piece:
                known = piece.content
            if not isinstance(known, Strided):
                raise self._fault(f"has something else than a tensor at byte {storage.offset:,} of {file.path.name}")
            inner = known.storage
            inner.key, inner.file = f"{storage.key}:{inner.key}", storage.file
            inner.offset += storage.offset
            self._known[storage.key] = known
        return known

    def _read(self) -> None:
        file = self.files[0]
        if file.n_bytes > MOST_BYTES:
            raise Malformed(f"has {counted(file.n_bytes, 'byte')}; it can have {MOST_BYTES:,}")
        data = _unsealed(file.read(0, file.n_bytes))
        found = unpickle(data, 0, _no_storages)
        if found.wanted:
            raise UnsafeCheckpointError(
                f"{self.path.name}/{METADATA} wants to import {', '.join(found.wanted)}. Nothing was imported or run.",
                path=str(file.path),
                hint="No distributed checkpoint needs these: don't load it, whoever asks you to.",
            )
        if found.end != len(data):
            raise Malformed(f"has {counted(len(data) - found.end, 'byte')} after its pickle")
        whole = _state(found.content, "Metadata")
        infos = self._infos(whole.get("storage_data"))
        flat: dict[str, Any] = {}
        for name, entry in _items(whole.get("state_dict_metadata"), "state_dict_metadata"):
            flat[name] = self._entry(name, entry, infos)
        self.content = _nest(flat, whole.get("planner_data"))

    def _infos(self, found: Any) -> dict[tuple[str, tuple[int, ...] | None], Storage]:
        """Where each piece lies, by name and offset."""
        made: dict[tuple[str, tuple[int, ...] | None], Storage] = {}
        for index, info in _items(found, "storage_data", keys=Opaque):
            key, place = _state(index, "MetadataIndex"), _state(info, "_StorageInfo")
            name, offset = key.get("fqn"), key.get("offset")
            if type(name) is not str or not (offset is None or _are_sizes(offset)):
                raise Malformed("has an index of a piece that is no name and offset")
            if place.get("transform_descriptors"):
                raise Malformed(f"has {name[:80]!r} compressed or otherwise transformed, which isn't read here")
            made[name, None if offset is None else tuple(offset)] = self._storage(place, len(made))
        return made

    def _storage(self, place: dict[str, Any], number: int) -> Storage:
        name, offset, n_bytes = place.get("relative_path"), place.get("offset"), place.get("length")
        if type(name) is not str or type(offset) is not int or type(n_bytes) is not int:
            raise Malformed("has a piece without a file, an offset and a length")
        if name not in self._numbers:
            self._numbers[name] = len(self.files)
            self.files.append(File(within(self.path, name, self.files[0].path)))
        file = self._numbers[name]
        self.files[file].check(offset, n_bytes)
        stated = place.get("crc32")
        made = Storage(str(number), file, offset, n_bytes, stated if type(stated) is int else 0)
        if type(stated) is int:
            self._summed.add(made.key)
        self._pieces[made.key] = made
        return made

    def _entry(self, name: str, entry: Any, infos: dict[tuple[str, tuple[int, ...] | None], Storage]) -> Any:
        kind = entry.class_name.rsplit(".", 1)[-1] if isinstance(entry, Opaque) else ""
        if kind == "BytesStorageMetadata":
            storage = infos.get((name, None))
            if storage is None:
                raise Malformed(f"doesn't say where {name[:80]!r} is")
            return self._value(storage)
        about = _state(entry, "TensorStorageMetadata")
        properties = _state(about.get("properties"), "TensorProperties")
        first = properties.get("dtype") if properties else None
        dtype, size, chunks = first, about.get("size"), about.get("chunks")
        if not isinstance(dtype, torch.dtype) or not _are_sizes(size) or type(chunks) is not list:
            raise Malformed(f"has {name[:80]!r} without a dtype, a size and pieces")
        shape = tuple(size)
        parts = tuple(self._part(name, dtype, shape, each, infos) for each in chunks)
        check_whole(name, shape, [(offsets, part.shape) for offsets, part in parts])
        named = tuple((",".join(map(str, offsets)), part) for offsets, part in parts)
        return Composed(dtype, shape, "strided", named)

    def _part(
        self,
        name: str,
        dtype: torch.dtype,
        shape: tuple[int, ...],
        chunk: Any,
        infos: dict[tuple[str, tuple[int, ...] | None], Storage],
    ) -> tuple[tuple[int, ...], Strided]:
        about = _state(chunk, "ChunkStorageMetadata")
        offsets, sizes = about.get("offsets"), about.get("sizes")
        if not _are_sizes(offsets) or not _are_sizes(sizes) or len(offsets) != len(shape) or len(sizes) != len(shape):
            raise Malformed(f"has a piece of {name[:80]!r} whose offsets or sizes make no sense")
        if any(start + n > whole for start, n, whole in zip(offsets, sizes, shape, strict=True)):
            raise Malformed(f"has a piece of {name[:80]!r} that reaches beyond its shape {shape}")
        storage = infos.get((name, tuple(offsets))) or (infos.get((name, None)) if not any(offsets) else None)
        if storage is None:
            raise Malformed(f"doesn't say where the piece of {name[:80]!r} at {tuple(offsets)} is")
        if math.prod(sizes) * dtype.itemsize > storage.n_bytes:
            raise Malformed(
                f"gives a piece of {name[:80]!r} {counted(storage.n_bytes, 'byte')}, too few for {tuple(sizes)}"
            )
        strides = [math.prod(max(each, 1) for each in sizes[dim + 1 :]) for dim in range(len(sizes))]
        return tuple(offsets), Strided(dtype, tuple(sizes), tuple(strides), storage)

    def _value(self, storage: Storage) -> Any:
        """A value, saved in a part of a data file, with the bytes of the tensors in it."""
        self._compare([storage] if storage.key in self._summed else [])
        file = self.files[storage.file]
        with TorchZip(file.path, Window(file, storage.offset, storage.n_bytes)) as piece:
            held = distinct_storages(each for _, each in tensors_in(piece.content))
            piece.verify(held.values())
            for each in held.values():
                each.key = f"{storage.key}:{each.key}"
                if each.held is None:
                    each.held = piece.files[0].read(each.offset, each.n_bytes)
            return piece.content

    def _fault(self, what: str) -> CorruptCheckpointError:
        return CorruptCheckpointError(
            f"{self.path.name}/{METADATA} {what}.", path=str(self.path), hint="It was damaged; get it again."
        )


def sealed(metadata: bytes) -> bytes:
    r"""A pickle with its checksum behind it, where torch doesn't read.

    Example:
        >>> sealed(b"a pickle.")
        b'a pickle.\nnnwidgets.crc32 20d0b050\n'
    """
    return metadata + _SEAL % crc32(metadata, 0)


def _unsealed(data: bytes) -> bytes:
    """The pickle in a file, its checksum taken away; what else is behind it stays, to be refused."""
    length = len(_SEAL % 0)
    return data[:-length] if data.endswith(_SEAL % crc32(data[:-length], 0)) else data


_SEAL = b"\nnnwidgets.crc32 %08x\n"


def _state(found: Any, kind: str) -> dict[str, Any]:
    """What is set on a record of torch.distributed.checkpoint.

    Raises:
        Malformed: It is another one.
    """
    if not isinstance(found, Opaque) or found.class_name.rsplit(".", 1)[-1] != kind:
        raise Malformed(f"has something else where a {kind} should be")
    state = found.state
    if kind == "TensorProperties" and type(state) is tuple and state:
        return {"dtype": state[0]}
    fields = _FIELDS.get(kind, ())
    if type(state) is not dict and fields and type(found.arguments) is tuple and len(found.arguments) == len(fields):
        state = dict(zip(fields, found.arguments, strict=True))
    if type(state) is not dict:
        raise Malformed(f"has a {kind} with nothing in it")
    return state


_FIELDS = {
    "MetadataIndex": ("fqn", "offset", "index"),
    "ChunkStorageMetadata": ("offsets", "sizes"),
    "_StorageInfo": ("relative_path", "offset", "length"),
}


def _items(found: Any, what: str, keys: type = str) -> Iterator[tuple[Any, Any]]:
    if type(found) is not dict or not all(type(key) is keys for key in found):
        raise Malformed(f"has no {what}, or another than it should")
    yield from found.items()


def _are_sizes(found: Any) -> TypeGuard[Sequence[int]]:
    is_short = isinstance(found, tuple | list) and len(found) <= _MOST_DIMENSIONS
    return is_short and all(type(each) is int and 0 <= each <= _MOST for each in found)


def check_whole(name: str, shape: tuple[int, ...], pieces: list[tuple[tuple[int, ...], tuple[int, ...]]]) -> None:
    """Make sure that pieces cover a tensor, without meeting."""
    if sum(math.prod(sizes) for _, sizes in pieces) != math.prod(shape):
        raise Malformed(f"has pieces of {name[:80]!r} that don't make up its shape {shape}")
    pieces = [each for each in pieces if 0 not in each[1]]
    if not shape:
        return
    if _is_grid(shape, pieces):
        return
    # Along the dimension cut most often, few pieces reach over the start of another.
    along = max(range(len(shape)), key=lambda dim: len({offsets[dim] for offsets, _ in pieces}))
    n_compared = 0
    reaching: list[tuple[tuple[int, ...], tuple[int, ...]]] = []
    for start, sizes in sorted(pieces, key=lambda each: each[0][along]):
        reaching = [each for each in reaching if each[0][along] + each[1][along] > start[along]]
        n_compared += len(reaching)
        if n_compared > _MOST_COMPARED:
            raise Malformed(
                f"has {counted(len(pieces), 'piece')} of {name[:80]!r}, cut in more ways than can be checked"
            )
        for other, others in reaching:
            if all(a < b + m and b < a + n for a, n, b, m in zip(start, sizes, other, others, strict=True)):
                raise Malformed(f"has pieces of {name[:80]!r} that overlap")
        reaching.append((start, sizes))


def _is_grid(shape: tuple[int, ...], pieces: Sequence[tuple[tuple[int, ...], tuple[int, ...]]]) -> bool:
    """Whether each dimension is cut into the same parts everywhere, and there is one piece for each of their products.

    As a mesh cuts it, which takes no comparison of pieces.
    """
    ends = [{(offsets[dim], offsets[dim] + sizes[dim]) for offsets, sizes in pieces} for dim in range(len(shape))]
    for parts, size in zip(ends, shape, strict=True):
        in_order = sorted(parts)
        if [0, *(end for _, end in in_order)] != [*(start for start, _ in in_order), size]:
            return False
    return len({offsets for offsets, _ in pieces}) == len(pieces) == math.prod(map(len, ends))


_MOST_COMPARED = 500_000
_MOST = 2**62
_MOST_DIMENSIONS = _DEEPEST = 64
_LONGEST_ALIKE = 4_096


class _Piece(TorchZip):
    """A piece of a tensor; where its pickle is byte for byte that of another piece, it isn't gone through again.

    Args:
        path: Of the data file.
        file: What of it is the piece.
        alike: By the bytes of a pickle that describes one tensor: what it calls the storage, and what it says.
    """

    def __init__(self, path: Path, file: File, alike: dict[bytes, tuple[Any, PickleResult]]) -> None:
        self._alike = alike
        super().__init__(path, file)

    def unpickle(self, data: bytes, start: int, persistent: Callable[[Any], Any]) -> PickleResult:
        if data in self._alike:
            name, found = self._alike[data]
            return replace(found, content=replace(found.content, storage=persistent(name).storage))
        names: list[Any] = []

        def noted(name: Any) -> Any:
            names.append(name)
            return persistent(name)

        found = super().unpickle(data, start, noted)
        if len(names) == 1 and isinstance(found.content, Strided) and len(data) <= _LONGEST_ALIKE:
            self._alike[data] = names[0], found
        return found


def _nest(flat: dict[str, Any], paths: Any) -> Any:
    """What was saved, put together again from flat names; as it is where the paths don't fit."""
    if type(paths) is not dict or set(paths) != set(flat) or len(flat) > _MOST_VALUES:
        return flat
    root: dict[Any, Any] = {}
    for name, value in flat.items():
        path = paths[name]
        if type(path) is not tuple or not 0 < len(path) <= _DEEPEST:
            return flat
        if not all(type(step) in (str, int) for step in path):
            return flat
        here = root
        for step in path[:-1]:
            here = here.setdefault(step, {})
            if type(here) is not dict:
                return flat
        if path[-1] in here:
            return flat
        here[path[-1]] = value
    return _with_lists(root)


def _with_lists(value: Any) -> Any:
    """Dicts whose keys are 0, 1, 2 … in ``param_groups`` and the like as the lists that they were."""
    if type(value) is not dict:
        return value
    made = {key: _with_lists(each) for key, each in value.items()}
    groups = made.get("param_groups")
    if type(groups) is dict and list(groups) == list(range(len(groups))):
        made["param_groups"] = list(groups.values())
    return made


def _no_storages(_found: Any) -> Any:
    raise Malformed("refers to storages, which no metadata does")
