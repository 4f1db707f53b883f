"""Where something is to be saved, and in what format: told from the path, and checked before anything is read."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from nnwidgets.checkpoint.formats.paths import check_path
from nnwidgets.checkpoint.formats.sha256_sidecar import blob_digest
from nnwidgets.checkpoint.writing.atomic_file import as_save_error, exists_error
from nnwidgets.errors import InvalidTargetError, SaveError

INDEX = "model.safetensors.index.json"
"""Name of a sharded checkpoint's index, as transformers has it."""

DEFAULT_SHARD_BYTES = 5 * 10**9
"""Of a folder's shards, where nothing is said; what the model hub recommends."""

_FILE_ENDS = (".safetensors", ".pt", ".pth", ".bin", ".ckpt", ".params", ".json")
_SIZE = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([KMGT]?)(I?)B\s*", re.IGNORECASE)
_POWERS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}


@dataclass(frozen=True, slots=True)
class Target:
    """Where to save.

    Attributes:
        given: The path as it was given, a leading ``~`` resolved.
        path: Absolute, symbolic links followed, so that a link stays one.
        format: What to write.
        shard_size: Most bytes of a shard.
        mode: Permissions of the file that is replaced; None for a new one.
    """

    given: str
    path: Path
    format: Literal["torch-zip", "safetensors", "sharded"]
    shard_size: int | None = None
    mode: int | None = None


def target_of(path: str | os.PathLike[str], shard_size: int | str | None, *, overwrite: bool) -> Target:
    """Find out where to save.

    Raises:
        InvalidTargetError: The path or the size is none.
        SaveError: Something is there that may not or can't be replaced.
    """
    place = check_path(path)
    given = str(place)
    separators = (os.sep, os.altsep or os.sep)
    is_folder = os.fsdecode(os.fspath(path)).endswith(separators) or os.path.isdir(place)  # noqa: PTH112 - is_dir raises on long names
    size = _size(shard_size)
    if size is not None and not is_folder and place.name.lower().endswith(_FILE_ENDS):
        raise SaveError(
            f"With shard_size the path names a folder, and {place.name} looks like a file.",
            path=str(place),
            hint=f"Such as {str(place.with_suffix(''))!r}. Nothing was changed.",
        )
    with as_save_error(place):
        real = Path(os.path.realpath(place))
        try:
            found = place.stat()
        except FileNotFoundError:
            found = None
    if is_folder or size is not None:
        if found is not None and not stat.S_ISDIR(found.st_mode):
            raise SaveError(
                f"{place.name} is a file, expected a folder for the shards.",
                path=str(place),
                hint="Choose another name, or leave shard_size out. Nothing was changed.",
            )
        return Target(given, real, "sharded", size or DEFAULT_SHARD_BYTES)
    made: Literal["torch-zip", "safetensors"] = (
        "safetensors" if place.name.lower().endswith(".safetensors") else "torch-zip"
    )
    if found is None:
        return Target(given, real, made)
    if not stat.S_ISREG(found.st_mode):
        raise SaveError(
            f"{place.name} is no regular file.", path=str(place), hint="Choose another name. Nothing was changed."
        )
    if not overwrite:
        raise exists_error(real)
    if blob_digest(place):
        raise SaveError(
            f"{place.name} is in a hub's cache, where its name is the SHA-256 of what was downloaded.",
            path=str(place),
            hint="Choose a path outside the cache. Nothing was changed.",
        )
    if not os.access(real, os.W_OK):
        raise SaveError(
            f"{place.name} is write-protected.",
            path=str(place),
            hint="Change its permissions, or choose another name. Nothing was changed.",
        )
    return Target(given, real, made, mode=stat.S_IMODE(found.st_mode))


def _size(given: int | str | None) -> int | None:
    if given is None:
        return None
    if type(given) is int and given > 0:
        return given
    found = _SIZE.fullmatch(given) if isinstance(given, str) else None
    n_bytes = int(float(found[1]) * (1024 if found[3] else 1000) ** _POWERS[found[2].upper()]) if found else 0
    if not n_bytes:
        raise InvalidTargetError(
            f"shard_size is {given!r}, expected a number of bytes or text.", hint='Such as "5GB", "500MB" or 10**9.'
        )
    return n_bytes
