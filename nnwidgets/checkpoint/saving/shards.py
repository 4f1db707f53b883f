"""Several safetensors files and their index, exchanged as one.

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
from nnwidgets.checkpoint.saving.target import INDEX
from nnwidgets.checkpoint.writing.atomic_file import TargetDirectory, TempFile, exists_error, sync, write_all
from nnwidgets.checkpoint.writing.tensors_to_save import TensorToSave
from nnwidgets.errors import SaveError
from nnwidgets.formatting import counted

JOURNAL = re.compile(r"\.nnw-[0-9a-f]{16}\.journal")
"""Names of journals."""

_SINGLE = "model.safetensors"
_SHARD = re.compile(r"model-(?:[0-9a-f]{8}-)?[0-9]{5}-of-[0-9]{5}\.safetensors")


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
    there = [name for name in folder.names() if name in (INDEX, _SINGLE) or _SHARD.fullmatch(name)]
    if there:
        raise exists_error(folder.path / min(there, key=lambda name: (name != INDEX, name)))


def sweep(folder: TargetDirectory) -> None:
    """Remove what savers that died have left in a folder."""
    for _ in folder.sweep():
        pass
    for _, fd in folder.sweep(JOURNAL):
        with folder.lock():
            _finish(folder, fd)


def commit(
    folder: TargetDirectory, temps: Sequence[TempFile], files: Sequence[str], index: TempFile, *, overwrite: bool
) -> tuple[list[str], list[str]]:
    """Give shards and index their names, and remove the checkpoint they replace.

    Returns:
        What couldn't be removed, and what else to know of it.

    Raises:
        SaveError: A checkpoint is there that may not be replaced.
        OSError: The folder is gone, or can't be written; the old checkpoint is whole.
    """
    with folder.lock():
        if not overwrite:
            check_free(folder)
        named = _indexed_shards(folder)
        old = [name for name in folder.names() if name == _SINGLE or name in named]
        with folder.create_temp(suffix="journal") as journal:
            _write(journal, {"new": list(files), "old": old})
            try:
                for temp, file in zip(temps, files, strict=True):
                    temp.place(folder.path / file, replace=False)
                folder.sync()
                index.place(folder.path / INDEX, replace=overwrite)
            except BaseException:
                _remove_unless_named(folder, files)
                raise
            problem = folder.sync()
            left = [name for name in old if not folder.remove(name)]
    return left, [problem] if problem else []


def _finish(folder: TargetDirectory, fd: int) -> None:
    """Finish a dead saver's work: take the old shards away where the index names the new ones, else the new ones."""
    try:
        journal = json.loads(os.read(fd, MOST_BYTES))
    except (ValueError, OSError, RecursionError):
        return
    if not isinstance(journal, dict):
        return
    new, old = (
        [name for name in _list(journal.get(key)) if isinstance(name, str) and _is_ours(name)] for key in ("new", "old")
    )
    _remove_unless_named(folder, old if _indexed_shards(folder).intersection(new) else [n for n in new if n != _SINGLE])


def _remove_unless_named(folder: TargetDirectory, names: Sequence[str]) -> None:
    kept = _indexed_shards(folder)
    for name in names:
        if name not in kept:
            folder.remove(name)


def _is_ours(name: str) -> bool:
    return name == _SINGLE or bool(_SHARD.fullmatch(name))


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _indexed_shards(folder: TargetDirectory) -> set[str]:
    """Shards that the folder's index names, of those that lie in it."""
    with contextlib.suppress(OSError, ValueError, RecursionError):
        index: Any = json.loads((folder.path / INDEX).read_bytes())
        if isinstance(index, dict) and isinstance(index.get("weight_map"), dict):
            return {name for name in index["weight_map"].values() if isinstance(name, str) and Path(name).name == name}
    return set()


def _write(journal: TempFile, names: Mapping[str, Sequence[str]]) -> None:
    write_all(journal.fd, json.dumps(names).encode("utf-8"))
    sync(journal.fd)
