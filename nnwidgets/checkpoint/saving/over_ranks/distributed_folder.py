"""A folder as ``torch.distributed.checkpoint`` reads it: a data file of each rank, and ``.metadata``, written last.

Each piece is a file of ``torch.save`` within the data file. ``.metadata`` states its CRC-32, in an attribute that torch
doesn't look at, and ends in its own, after the pickle, where torch doesn't read. Tied tensors have both of their names
in ``.metadata``, and one piece.
Source: torch.distributed.checkpoint, metadata.py and filesystem.py.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import xxhash

from nnwidgets.checkpoint.formats.crc32 import crc32, joined
from nnwidgets.checkpoint.formats.torch.distributed import sealed
from nnwidgets.checkpoint.progress import Tick
from nnwidgets.checkpoint.saving.over_ranks.shares import Share
from nnwidgets.checkpoint.writing import torch_zip_file
from nnwidgets.checkpoint.writing.hashing_stream import BUFFER_BYTES, DIGEST, Checksum, HashingWriter
from nnwidgets.checkpoint.writing.tensors_to_save import Contents, TensorToSave, contents_of
from nnwidgets.checkpoint.writing.wrapped_tensors import WrappedToSave
from nnwidgets.errors import SaveError
from nnwidgets.introspect.safe_access import objects

_SMALL = 2**18
"""Bytes whose checksum is computed twice, rather than joined to another."""

_MOST_BESIDE = 2_048
"""Bytes of a piece beyond the tensor's."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Where something lies in a rank's data file.

    Attributes:
        at: Its first byte.
        n_bytes: How many.
        crc32: Of them.
    """

    at: int
    n_bytes: int
    crc32: int


class _SummedWriter(HashingWriter):
    """Also sums all that is written, without reading long runs twice."""

    total = 0

    def write(self, data: bytes | memoryview, checksum: Checksum | None = None, so_far: int = 0) -> int:
        """Write bytes, as `HashingWriter.write`."""
        n = len(data)
        if n < _SMALL or checksum is not crc32:
            data = bytes(data)  # of what is written: another thread may change a tensor between the two
            self.total = crc32(data, self.total)
            return super().write(data, checksum, so_far)
        made = super().write(data, crc32, 0)
        self.total = joined(self.total, made, n)
        return joined(so_far, made, n) if so_far else made


def longest(shares: Iterable[Share], values: Mapping[str, Contents]) -> int:
    """How long a rank's data file will be, at most."""
    tensors = sum(each.n_bytes + _MOST_BESIDE for each in shares)
    return tensors + sum(torch_zip_file.layout(each, []).n_bytes for each in values.values())


def write_data(
    fd: int, shares: Sequence[Share], values: Mapping[str, Contents], tick: Tick
) -> tuple[dict[str, Piece], list[str]]:
    """Write a rank's data file.

    Args:
        fd: The file.
        shares: What to write; those that are the same once.
        values: What else is saved, by name.
        tick: Told of the bytes.

    Returns:
        Where each is, and a digest of each piece.

    Raises:
        OSError: It can't be written.
    """
    out, at = _SummedWriter(fd, tick), 0
    digests: list[str] = []
    places: dict[str, Piece] = {}

    def write(contents: Contents) -> Piece:
        nonlocal at
        out.begin_anew()
        out.total = 0
        torch_zip_file.write(out, torch_zip_file.layout(contents, []))
        digests.append(out.finish())
        made = Piece(at, out.n_bytes, out.total)
        at += out.n_bytes
        return made

    by_tie: dict[str, Piece] = {}
    for share in shares:
        if share.of not in by_tie:
            by_tie[share.of] = write(_as_contents(share.data))
        places[share.name] = by_tie[share.of]
    for name, contents in values.items():
        places[name] = write(contents)
    return places, digests


def read_back(fd: int, places: Iterable[Piece], digests: Sequence[str], name: str, tick: Tick) -> None:
    """Make sure that a data file holds what was written.

    Raises:
        SaveError: It doesn't.
        OSError: It can't be read.
    """
    held = memoryview(bytearray(4 * BUFFER_BYTES))
    for piece, wanted in zip(sorted(set(places), key=lambda each: each.at), digests, strict=True):
        made = xxhash.xxh3_128()
        for start in range(0, piece.n_bytes, len(held)):
            n = os.preadv(fd, [held[: min(len(held), piece.n_bytes - start)]], piece.at + start)
            made.update(held[:n])
            tick(n)
        found = f"{DIGEST}:{made.hexdigest()}"
        if found != wanted:
            raise SaveError(
                f"{name} was read back with the digest {found} at byte {piece.at:,}, and {wanted} was written.",
                hint="The disk or its driver changed it; save elsewhere. Nothing was changed.",
            )


@dataclass(frozen=True, slots=True)
class Written:
    """A piece of a tensor, by whom and where it was written.

    Attributes:
        file: Name of the data file.
        offsets: Where in the tensor it begins.
        sizes: Its own.
        piece: Where it is.
    """

    file: str
    offsets: tuple[int, ...]
    sizes: tuple[int, ...]
    piece: Piece


def metadata_of(
    shares: Sequence[Share],
    tensors: Mapping[str, Sequence[Written]],
    values: Mapping[str, tuple[str, Piece]],
    paths: Mapping[str, tuple[Any, ...]],
    save_id: str,
) -> bytes:
    """What ``.metadata`` has in it.

    Args:
        shares: All tensors, of this rank.
        tensors: The pieces of each.
        values: What else was saved, each with its file.
        paths: The way to each in what was saved.
        save_id: A name of the save.
    """
    from torch.distributed.checkpoint import metadata as dcp
    from torch.distributed.checkpoint.filesystem import _StorageInfo

    entries: dict[str, Any] = {}
    storage: dict[Any, Any] = {}

    def place(index: Any, file: str, piece: Piece) -> None:
        info = _StorageInfo(file, piece.at, piece.n_bytes)
        info.crc32 = piece.crc32  # type: ignore[attr-defined] # kept by the pickle, as all that is set on it
        storage[index] = info

    for share in shares:
        pieces = sorted(tensors.get(share.name, ()), key=lambda each: each.offsets)
        chunks = [dcp.ChunkStorageMetadata(torch.Size(each.offsets), torch.Size(each.sizes)) for each in pieces]
        properties = dcp.TensorProperties(dtype=share.data.dtype)
        entries[share.name] = dcp.TensorStorageMetadata(properties, torch.Size(share.part.shape), chunks)
        for number, each in enumerate(pieces):
            place(dcp.MetadataIndex(share.name, torch.Size(each.offsets), number), each.file, each.piece)
    for name, (file, piece) in values.items():
        entries[name] = dcp.BytesStorageMetadata()
        place(dcp.MetadataIndex(name), file, piece)
    made = dcp.Metadata(entries, dict(paths), storage)
    if hasattr(dcp, "StorageMeta"):
        made.storage_meta = dcp.StorageMeta(save_id=save_id)
    if "version" in type(made).__dataclass_fields__:
        made.version = "1.0.0"
    return sealed(pickle.dumps(made))


def flattened(tree: Any) -> tuple[dict[str, TensorToSave], dict[str, Contents], dict[str, tuple[Any, ...]]]:
    """What is saved under flat names, as torch flattens what it loads into: tensors, all else, and the way to each.

    Raises:
        SaveError: Two have the same flat name, or a part of a tensor is within a tuple or a set.
    """
    from torch.distributed.checkpoint._nested_dict import flatten_state_dict

    by_data: dict[int, Any] = {}
    if not isinstance(tree, dict):
        raise SaveError(
            "A folder of torch.distributed.checkpoint holds a dict.", hint="Save it under a name. Nothing was changed."
        )
    try:
        flat, paths = flatten_state_dict(_bare(tree, by_data))
    except ValueError as error:
        raise SaveError(f"It can't be saved under flat names: {error}.", hint="Rename a key.") from None
    tensors = {name: by_data[id(each)] for name, each in flat.items() if id(each) in by_data}
    values = {name: contents_of(each) for name, each in flat.items() if name not in tensors}
    for path in _empty(tree, ()):  # which torch's flattening leaves out, an optimizer's state for instance
        name = ".".join(path)
        if name not in flat:
            values[name], paths[name], flat[name] = contents_of({}), path, {}
    for name, each in values.items():
        if any(type(by_data.get(id(held.live))) is TensorToSave for _, held in each.named):
            raise SaveError(
                f"{name} holds tensors in a {type(flat[name]).__name__}, which torch keeps as one value.",
                path=name,
                hint="Put them into a list or a dict. Nothing was changed.",
            )
    return tensors, values, paths


def _empty(tree: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """The ways to dicts with nothing in them."""
    for key, each in tree.items():
        if isinstance(each, dict):
            below = (*path, str(key))
            yield from _empty(each, below) if each else (below,)


def _bare(tree: Any, by_data: dict[int, Any]) -> Any:
    """The same with plain tensors in it, each to be found again by its identity."""
    if isinstance(tree, dict):
        return {key: _bare(each, by_data) for key, each in tree.items()}
    if isinstance(tree, list | tuple):
        return type(tree)(_bare(each, by_data) for each in tree)
    if type(tree) is TensorToSave:
        by_data[id(tree.data)] = tree
        return tree.data
    if type(tree) is WrappedToSave:
        raise SaveError(
            f"A tensor is a {objects.type_name(tree.kind)}, {tree.how}, which isn't saved over ranks.",
            hint="Save it as plain tensors. Nothing was changed.",
        )
    return tree


def _as_contents(data: torch.Tensor) -> Contents:
    tensor = TensorToSave("", data, data)
    return Contents(tensor, [("", tensor)], 1)
