"""Several files and their index, exchanged as one: safetensors files, or those of a distributed checkpoint.

Shards have names that no file had before, and the index, replaced last, is what makes them the checkpoint: until then
the old index points to the old shards, all there. Who commits holds the folder's lock, and a journal that names what
is to go should it die: new shards that no index came to name, or old ones that none names any more.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nnwidgets.checkpoint.formats.safetensors.strict_json import MOST_BYTES
from nnwidgets.checkpoint.formats.torch.distributed import METADATA
from nnwidgets.checkpoint.saving.target import INDEX
from nnwidgets.checkpoint.writing.atomic_file import TargetDirectory, TempFile, exists_error, sync, write_all
from nnwidgets.checkpoint.writing.tensors_to_save import TensorToSave
from nnwidgets.errors import SaveError
from nnwidgets.formatting import counted

JOURNAL = re.compile(r"\.nnw-[0-9a-f]{16}\.journal")
"""Names of journals."""

_SINGLE = "model.safetensors"
_SHARD = re.compile(r"model-(?:[0-9a-f]{8}-)?[0-9]{5}-of-[0-9]{5}\.safetensors")
_DATA = re.compile(r"__[0-9]+_[0-9a-f_]{1,40}\.distcp")
_DATA_TOLD = re.compile(_DATA.pattern.encode())
_INDEXES = (INDEX, METADATA)


def shards_of(named: Mapping[str, TensorToSave], most_bytes: int) -> list[dict[str, TensorToSave]]:
    """Tensors in order, as many in each shard as it holds; one that is larger has a shard of its own.

    Example:
        >>> shards_of({}, 100)
        [{}]
    """
    made: list[dict[str, TensorToSave]] = [{}]
    room = most_bytes
    for name, tensor in named.items():
        n_bytes = tensor.data.numel() * tensor.data.element_size()
        if n_bytes > room and made[-1]:
            made.append({})
            room = most_bytes
        made[-1][name] = tensor
        room -= n_bytes
    return made


def shard_names(n: int) -> list[str]:
    """Names for the shards of one save, unlike those of any other."""
    token = secrets.token_hex(4)
    return [f"model-{token}-{number:05}-of-{n:05}.safetensors" for number in range(1, n + 1)]


def index_of(shards: Sequence[Mapping[str, TensorToSave]], files: Sequence[str]) -> bytes:
    """The index of shards that are in files of these names.

    Raises:
        SaveError: It would be too long to be read.
    """
    size = sum(tensor.data.numel() * tensor.data.element_size() for shard in shards for tensor in shard.values())
    weight_map = {name: file for shard, file in zip(shards, files, strict=True) for name in shard}
    index = {"metadata": {"total_size": size}, "weight_map": weight_map}
    text = (json.dumps(index, indent=2, ensure_ascii=False) + "\n").encode("utf-8")
    if len(text) > MOST_BYTES:
        raise SaveError(
            f"The index would have {counted(len(text), 'byte')}; it can have {MOST_BYTES:,}.",
            hint="Save to a torch file. Nothing was changed.",
        )
    return text


def check_free(folder: TargetDirectory) -> None:
    """Make sure that a folder holds no checkpoint.

    Raises:
        SaveError: It does.
        OSError: It can't be listed.
    """
    there = [name for name in folder.names() if name in (*_INDEXES, _SINGLE) or _SHARD.fullmatch(name)]
    if there:
        raise exists_error(folder.path / min(there, key=lambda name: (name not in _INDEXES, name)))


def sweep(folder: TargetDirectory) -> None:
    """Remove what savers that died have left in a folder."""
    for _ in folder.sweep():
        pass
    for _, fd in folder.sweep(JOURNAL):
        with folder.lock():
            _finish(folder, fd)


def commit(
    folder: TargetDirectory,
    temps: Sequence[TempFile],
    files: Sequence[str],
    index: TempFile,
    *,
    overwrite: bool,
    index_name: str = INDEX,
) -> tuple[list[str], list[str]]:
    """Give shards and index their names, and remove the checkpoint they replace.

    Args:
        folder: Where they are.
        temps: The shards.
        files: Their names to be.
        index: What names them.
        overwrite: Whether there may be a checkpoint already.
        index_name: The index's name to be.

    Returns:
        What couldn't be removed, and what else to know of it.

    Raises:
        SaveError: A checkpoint is there that may not be replaced.
        OSError: The folder is gone, or can't be written; the old checkpoint is whole.
    """
    with folder.lock():
        if not overwrite:
            check_free(folder)
        named = _named(folder)
        # Without overwrite nothing may go: data files without an index are of another saver who isn't done, or died.
        old = [name for name in folder.names() if overwrite and _is_old(name, named) and name != index_name]
        old.sort(
            key=lambda name: name not in _INDEXES
        )  # an index goes before what it names, so that none is half there
        with folder.create_temp(suffix="journal") as journal:
            _write(journal, {"new": list(files), "old": old})
            try:
                for temp, file in zip(temps, files, strict=True):
                    temp.place(folder.path / file, replace=False)
                folder.sync()
                index.place(folder.path / index_name, replace=overwrite)
            except BaseException:
                _remove_unless_named(folder, files)
                raise
            problem = folder.sync()
            indexes = [name for name in old if name in _INDEXES]
            left = [name for name in indexes if not folder.remove(name)]
            if indexes:
                folder.sync()
            left += [name for name in old if name not in _INDEXES and not folder.remove(name)]
    return left, [problem] if problem else []


def _finish(folder: TargetDirectory, fd: int) -> None:
    """Finish a dead saver's work: take the old shards away where the index names the new ones, else the new ones."""
    try:
        journal = json.loads(os.read(fd, MOST_BYTES))
    except (ValueError, OSError, RecursionError):
        return
    if not isinstance(journal, dict):
        return
    new, old = ([name for name in _list(journal.get(key)) if isinstance(name, str)] for key in ("new", "old"))
    is_placed = bool(_named(folder).intersection(new))
    _remove_unless_named(folder, [name for name in old if _is_ours(name)] if is_placed else list(filter(_is_new, new)))


def _remove_unless_named(folder: TargetDirectory, names: Sequence[str]) -> None:
    for name in set(names).intersection(_INDEXES):  # which would name others
        folder.remove(name)
    kept = _named(folder)
    for name in names:
        if name not in kept:
            folder.remove(name)


def _is_new(name: str) -> bool:
    return bool(_SHARD.fullmatch(name) or _DATA.fullmatch(name))


def _is_ours(name: str) -> bool:
    return name in (*_INDEXES, _SINGLE) or _is_new(name)


def _is_old(name: str, named: set[str]) -> bool:
    """Whether a file belongs to what a new index replaces; data files that none names are of no use either."""
    return name in (*_INDEXES, _SINGLE) or name in named or bool(_DATA.fullmatch(name))


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _named(folder: TargetDirectory) -> set[str]:
    """Shards and data files that the folder's indexes name, of those that lie in it."""
    made: set[str] = set()
    with contextlib.suppress(OSError, ValueError, RecursionError):
        index: Any = json.loads((folder.path / INDEX).read_bytes())
        if isinstance(index, dict) and isinstance(index.get("weight_map"), dict):
            values = index["weight_map"].values()
            made |= {name for name in values if isinstance(name, str) and Path(name).name == name}
    with contextlib.suppress(OSError):
        metadata = (folder.path / METADATA).read_bytes()
        # A pickle has text as it is, so it need not be read to see what it speaks of.
        made.update(set(folder.names()).intersection(each.decode() for each in _DATA_TOLD.findall(metadata)))
    return made


def _write(journal: TempFile, names: Mapping[str, Sequence[str]]) -> None:
    write_all(journal.fd, json.dumps(names).encode("utf-8"))
    sync(journal.fd)
