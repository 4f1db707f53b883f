"""The checkpoints of a folder, told by content."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from nnwidgets.checkpoint.formats.folder_files import is_checkpoint
from nnwidgets.checkpoint.formats.paths import check_path
from nnwidgets.checkpoint.peek import peek
from nnwidgets.checkpoint.records import Format
from nnwidgets.errors import NNWidgetsError, PathNotFoundError, UnsafeCheckpointError
from nnwidgets.introspect.records import Record

_MOST = 2_000

Kind = Literal["checkpoint", "folder", "refused", "other"]


@dataclass(frozen=True, slots=True)
class Listed(Record):
    """A file or folder.

    Attributes:
        name: Its.
        kind: ``"checkpoint"``, ``"folder"``, ``"refused"`` for a checkpoint that can't be read safely, ``"other"``.
        format: Of a checkpoint.
        n_tensors: Of a checkpoint.
        size_bytes: Of a file; of a checkpoint that is a folder, of all its files.
        modified: Seconds since the epoch.
        problem: Why a checkpoint is refused.
    """

    name: str
    kind: Kind
    format: Format | None
    n_tensors: int
    size_bytes: int
    modified: float
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Listing(Record):
    """What is in a folder.

    Attributes:
        path: The folder.
        entries: Folders first, then files, each by name.
        n_more: How many were left out.
    """

    path: str
    entries: tuple[Listed, ...]
    n_more: int

    @property
    def checkpoints(self) -> tuple[Listed, ...]:
        """Those that are checkpoints."""
        return tuple(each for each in self.entries if each.kind == "checkpoint")


def folder(path: str | os.PathLike[str] = ".") -> Listing:
    """List a folder; each file is told by its first bytes and, where it is a checkpoint, by its header.

    Raises:
        PathNotFoundError: There is no such folder.

    Example:
        >>> import tempfile, torch
        >>> from safetensors.torch import save_file
        >>> place = tempfile.mkdtemp()
        >>> save_file({"x": torch.zeros(2)}, place + "/x.safetensors")
        >>> [(each.name, each.kind, each.n_tensors) for each in folder(place).entries]
        [('x.safetensors', 'checkpoint', 1)]
    """
    place = check_path(path)
    try:
        names = sorted(each.name for each in place.iterdir() if not each.name.startswith("."))
    except OSError as error:
        raise PathNotFoundError(
            f"There is no folder {str(place)!r} to list ({error.strerror}).", path=str(place)
        ) from None
    found = [list_entry(place / name) for name in names[:_MOST]]
    found.sort(key=lambda each: (each.kind != "folder", each.name))
    return Listing(str(place), tuple(found), max(0, len(names) - _MOST))


def list_entry(path: Path) -> Listed:
    """One file or folder."""
    try:
        about = path.stat()
    except OSError:
        return Listed(path.name, "other", None, 0, 0, 0.0)
    is_folder = stat.S_ISDIR(about.st_mode)
    if not is_folder and not stat.S_ISREG(about.st_mode):
        return Listed(path.name, "other", None, 0, 0, about.st_mtime)
    size = 0 if is_folder else about.st_size
    if is_folder and not is_checkpoint(path):
        return Listed(path.name, "folder", None, 0, size, about.st_mtime)
    try:
        index = peek(path)
    except UnsafeCheckpointError as error:
        return Listed(path.name, "refused", None, 0, size, about.st_mtime, error.message)
    except NNWidgetsError:
        return Listed(path.name, "folder" if is_folder else "other", None, 0, size, about.st_mtime)
    return Listed(path.name, "checkpoint", index.format, len(index.tensors), index.size_bytes, about.st_mtime)
