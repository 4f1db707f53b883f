"""The formats that checkpoints come in, told apart by content.

Start at `open_checkpoint`, here; what it gives is a `reader.CheckpointReader`, one class for each format.

    reader.py          what every format gives: content described, bytes when asked for, checksums compared
    torch/             files of `torch.save`, new and old, and distributed checkpoints
    pickle/            the machine that reads their pickles and runs nothing
    safetensors/       safetensors files, shards and their index
    file.py            files opened to be read: regular ones only, never mapped
    file_names.py      what libraries and trainers call their files
    folder_files.py    which files of a folder are the checkpoint, where no index says so
    folder_without_weights.py  what a folder is that holds no weights itself
    paths.py           paths that a checkpoint names, kept within its folder
    crc32.py           checksums of storages, on a few threads
    sha256_sidecar.py  the SHA-256 of a whole file, beside it or in a hub's cache
    other_kinds/       what a file or folder is that is no checkpoint, and what to do with it
    malformed.py       what is raised for what makes no sense
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from nnwidgets.checkpoint.formats import other_kinds
from nnwidgets.checkpoint.formats.file import File
from nnwidgets.checkpoint.formats.folder_files import find_files
from nnwidgets.checkpoint.formats.paths import check_path
from nnwidgets.checkpoint.formats.reader import CheckpointReader
from nnwidgets.checkpoint.formats.safetensors import single_file
from nnwidgets.checkpoint.formats.safetensors.sharded_index import Sharded
from nnwidgets.checkpoint.formats.safetensors.single_file import Safetensors
from nnwidgets.checkpoint.formats.torch import distributed, legacy, plain_pickle
from nnwidgets.checkpoint.formats.torch.distributed import Distributed
from nnwidgets.checkpoint.formats.torch.legacy import TorchLegacy
from nnwidgets.checkpoint.formats.torch.plain_pickle import PlainPickle
from nnwidgets.checkpoint.formats.torch.zip_file import TorchZip
from nnwidgets.errors import CorruptCheckpointError
from nnwidgets.introspect.safe_access.scan import gc_paused

__all__ = ["CheckpointReader", "open_checkpoint"]


@gc_paused()
def open_checkpoint(path: str | os.PathLike[str]) -> CheckpointReader:
    """Open a checkpoint by what is in it, whatever its name ends in; its header is read and checked whole.

    Args:
        path: A file, a sharded checkpoint's index, or a folder: of a sharded or distributed checkpoint, of numbered
            parts, or one with a single file of weights in it.

    Returns:
        It, to be closed.

    Raises:
        PathNotFoundError: Nothing is there.
        UnsafeCheckpointError: It would have to run code to be read, or is no regular file.
        CorruptCheckpointError: It is damaged, or in no format that can be told.
        InvalidTargetError: It is of another kind, which the message names; or ``path`` is no path.
    """
    place = check_path(path)
    try:
        if place.is_dir():
            return _folder(place)
        return Distributed(place.parent) if place.name == distributed.METADATA else _file(place)
    except MemoryError:
        raise CorruptCheckpointError(
            f"{place.name} takes more memory to look into than there is.",
            path=str(place),
            hint="It was made to mislead, or is for a larger machine.",
        ) from None


def _file(place: Path, number: int = 0, shard: str = "") -> CheckpointReader:
    """One file; a shard where it has a name as such."""
    file = File(place)
    try:
        start = file.start()
        if single_file.recognizes(start, file.n_bytes):
            return Safetensors(place, file, number=number, prefix=f"{shard}:" if shard else "")
        if start.startswith(b"PK"):
            return TorchZip(place, file)
        if legacy.recognizes(start):
            return TorchLegacy(place, file)
        if plain_pickle.recognizes(start):
            return PlainPickle(place, file)
        if start.lstrip().startswith(b"{") and not shard:
            return _index(place, file, start)
        if plain_pickle.may_be(start, file):
            with suppress(CorruptCheckpointError):
                return PlainPickle(place, file)
        kind = other_kinds.kind_of_file(place, start, file)
    except BaseException:
        file.close()
        raise
    file.close()
    if kind is not None:
        raise other_kinds.error_of(kind, place)
    raise _unknown(place, start)


def _unknown(place: Path, start: bytes) -> CorruptCheckpointError:
    return CorruptCheckpointError(
        f"{place.name} is no checkpoint known here: it begins with {start[:8]!r}.",
        path=str(place),
        hint="Torch's files, safetensors, sharded and distributed checkpoints can be read.",
    )


def _index(place: Path, file: File, start: bytes) -> Sharded:
    """The index of shards, where the JSON is one."""
    try:
        return Sharded(place, _file, file)
    except CorruptCheckpointError as error:
        says = (" is no JSON", " has no weight_map")
        is_other = not place.name.endswith(".index.json") and any(each in error.message for each in says)
        kind = other_kinds.kind_of_file(place, start, file) if is_other else None
        if kind is not None:
            raise other_kinds.error_of(kind, place) from None
        if is_other:
            raise _unknown(place, start) from None
        raise


def _folder(place: Path) -> CheckpointReader:
    if (place / distributed.METADATA).exists():
        return Distributed(place)
    found = find_files(place)
    return Sharded(place, _file, parts=found.parts) if found.parts else _file(place / found.one)
